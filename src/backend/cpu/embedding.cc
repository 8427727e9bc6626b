// Embedding on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding.h"

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = EmbeddingArgs::bind(operands);
  const auto copy_rows = [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id =
          checked_index(args.ids.as<int32_t>()[t], args.table.rows(), "[embedding] ids", t);
      copy_row(args.table, id, args.y, t);
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
