// Grouped SwiGLU on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/grouped_swiglu.h"

#include <vector>

#include "backend/cpu/expert_rows.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"
#include "backend/cpu/vector_ops.h"
#include "ops/grouped_linear.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedSwigluArgs::bind(operands);
  const int64_t columns = args.gate.columns();
  for_each_expert(args.offsets, args.y, [&](const ExpertRows& rows) {
    const RowWriter writer(args.y.dtype, args.gate.dtype,
                           slice_vector(args.output_scale, rows.expert, 1));
    const auto activate_rows = [&](int64_t begin, int64_t end) {
      std::vector<float> gates(static_cast<size_t>(columns)), ups(static_cast<size_t>(columns));
      for (int64_t row = rows.begin + begin; row < rows.begin + end; ++row) {
        vector_ops().silu_multiply(read_row(args.gate, row, gates.data()),
                                   read_row(args.up, row, ups.data()), gates.data(), columns);
        writer.write_row(gates.data(), args.y, row);
      }
    };
    context.pool->parallel_for(rows.end - rows.begin, rows_grain(columns), activate_rows);
  });
}

}  // namespace

const Kernel kCpuGroupedSwiglu = {.name = "cpu_grouped_swiglu",
                                  .op = Op::kGroupedSwiglu,
                                  .traits = {},
                                  .supports = supports_moe,
                                  .workspace = nullptr,
                                  .run = run};

}  // namespace octavo
