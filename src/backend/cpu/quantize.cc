// Quantize on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/quantize.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = QuantizeArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.x.dtype, args.scale);
  const auto quantize_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(args.x.columns()));
    for (int64_t row = begin; row < end; ++row) {
      writer.write_row(read_row(args.x, row, values.data()), args.y, row);
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns()), quantize_rows);
}

}  // namespace

const Kernel kCpuQuantize = {.name = "cpu_quantize",
                             .op = Op::kQuantize,
                             .traits = {},
                             .supports = supports_activations,
                             .workspace = nullptr,
                             .run = run};

}  // namespace octavo
