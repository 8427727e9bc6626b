// Combine on the CPU: float32 sums in the order of a token's experts, rounded once.
// SPDX-License-Identifier: Apache-2.0
#include "ops/combine.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = CombineArgs::bind(operands);
  const int64_t columns = args.x.columns(), top_k = args.rows.columns();
  const RowWriter writer(args.y.dtype, args.y.dtype, {});
  const auto combine_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> sum(static_cast<size_t>(columns)), values(static_cast<size_t>(columns));
    for (int64_t token = begin; token < end; ++token) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (int64_t i = 0; i < top_k; ++i) {
        const int32_t row = args.rows.row<int32_t>(token)[i];
        if (row == -1) continue;
        checked_index(row, args.x.rows(), "[combine] rows", token * top_k + i);
        const float* x = read_row(args.x, row, values.data());
        const float weight = args.weights.row<float>(token)[i];
        for (int64_t column = 0; column < columns; ++column) sum[column] += weight * x[column];
      }
      writer.write_row(sum.data(), args.y, token);
    }
  };
  context.pool->parallel_for(args.y.rows(), rows_grain(columns * top_k), combine_rows);
}

}  // namespace

const Kernel kCpuCombine = {.name = "cpu_combine",
                            .op = Op::kCombine,
                            .traits = {},
                            .supports = supports_moe,
                            .workspace = nullptr,
                            .run = run};

}  // namespace octavo
