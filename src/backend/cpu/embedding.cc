// Embedding on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding.h"

#include <algorithm>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"
#include "numerics/bf16.h"

namespace octavo {
namespace {

// x + −0 is x for every x, also for −0: the sum over the ranks is the row itself, bit for bit.
void fill_minus_zero(const TensorView& y, int64_t row) {
  if (y.dtype == DType::kF32) {
    std::fill_n(y.row<float>(row), y.columns(), -0.0f);
  } else {
    std::fill_n(y.row<bf16>(row), y.columns(), to_bf16(-0.0f));
  }
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = EmbeddingArgs::bind(operands);
  const auto copy_rows = [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t id = args.ids.as<int32_t>()[t];
      if (args.part != nullptr) {
        id -= args.part->first_id;
        if (id < 0 || id >= args.table.rows()) {
          fill_minus_zero(args.y, t);
          continue;
        }
      }
      copy_row(args.table, checked_index(id, args.table.rows(), "[embedding] ids", t), args.y, t);
    }
  };
  context.pool->parallel_for(args.y.rows(), rows_grain(args.y.columns()), copy_rows);
}

}  // namespace

const Kernel kCpuEmbedding = {.name = "cpu_embedding",
                              .op = Op::kEmbedding,
                              .traits = {},
                              .supports = supports_activations,
                              .workspace = nullptr,
                              .run = run};

}  // namespace octavo
