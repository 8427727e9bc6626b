// Add on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = AddArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.y.dtype, {});
  const auto add_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> sum(static_cast<size_t>(args.y.columns()));
    std::vector<float> buffer(sum.size());
    for (int64_t row = begin; row < end; ++row) {
      add_row(args.a, args.b, row, sum.data(), buffer.data());
      writer.write_row(sum.data(), args.y, row);
    }
  };
  context.pool->parallel_for(args.y.rows(), rows_grain(args.y.columns()), add_rows);
}

}  // namespace

const Kernel kCpuAdd = {.name = "cpu_add",
                        .op = Op::kAdd,
                        .traits = {},
                        .supports = supports_activations,
                        .workspace = nullptr,
                        .run = run};

}  // namespace octavo
