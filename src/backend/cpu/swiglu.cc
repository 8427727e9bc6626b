// SwiGLU on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/swiglu.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"
#include "backend/cpu/vector_ops.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = SwigluArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.gate.dtype, args.output_scale);
  const int64_t columns = args.gate.columns();
  const auto activate_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> gates(static_cast<size_t>(columns));
    std::vector<float> ups(static_cast<size_t>(columns));
    for (int64_t row = begin; row < end; ++row) {
      vector_ops().silu_multiply(read_row(args.gate, row, gates.data()),
                                 read_row(args.up, row, ups.data()), gates.data(), columns);
      writer.write_row(gates.data(), args.y, row);
    }
  };
  context.pool->parallel_for(args.gate.rows(), rows_grain(columns), activate_rows);
}

}  // namespace

const Kernel kCpuSwiglu = {.name = "cpu_swiglu",
                           .op = Op::kSwiglu,
                           .traits = {},
                           .supports = supports_activations,
                           .workspace = nullptr,
                           .run = run};

}  // namespace octavo
