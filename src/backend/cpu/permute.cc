// Permute on the CPU: a counting sort of tokens by expert, then copies of rows.
// SPDX-License-Identifier: Apache-2.0
#include "ops/permute.h"

#include <cstring>
#include <numeric>
#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

// Fills offsets and rows; an expert's rows are in the order of the tokens.
void sort_by_expert(const PermuteArgs& args) {
  const int64_t tokens = args.experts.rows(), top_k = args.experts.columns();
  auto* offsets = args.offsets.as<int32_t>();
  std::fill_n(offsets, args.params->num_experts + 1, 0);
  for (int64_t token = 0; token < tokens; ++token) {
    for (int64_t i = 0; i < top_k; ++i) {
      const int32_t expert = args.experts.row<int32_t>(token)[i];
      if (expert == -1) continue;
      checked_index(expert, args.params->num_experts, "[permute] experts", token * top_k + i);
      ++offsets[expert + 1];
    }
  }
  std::partial_sum(offsets, offsets + args.params->num_experts + 1, offsets);
  std::vector<int32_t> next(offsets, offsets + args.params->num_experts);
  for (int64_t token = 0; token < tokens; ++token) {
    for (int64_t i = 0; i < top_k; ++i) {
      const int32_t expert = args.experts.row<int32_t>(token)[i];
      args.rows.row<int32_t>(token)[i] = expert == -1 ? -1 : next[expert]++;
    }
  }
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = PermuteArgs::bind(operands);
  sort_by_expert(args);
  const auto copy_rows = [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      for (int64_t i = 0; i < args.rows.columns(); ++i) {
        const int32_t row = args.rows.row<int32_t>(token)[i];
        if (row >= 0) copy_row(args.x, token, args.y, row);
      }
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns() * args.rows.columns()),
                             copy_rows);
  clear_rows(args.y, args.offsets.as<int32_t>()[args.params->num_experts], args.y.rows());
}

}  // namespace

const Kernel kCpuPermute = {.name = "cpu_permute",
                            .op = Op::kPermute,
                            .traits = {},
                            .supports = supports_moe,
                            .workspace = nullptr,
                            .run = run};

}  // namespace octavo
