// RoPE on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rotation.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = RopeArgs::bind(operands);
  const RowWriter writer(args.y.dtype, args.x.dtype, {});
  const auto rotate_rows = [&](int64_t begin, int64_t end) {
    Rotation rotation(args.inverse_frequency);
    std::vector<float> buffer(static_cast<size_t>(args.x.columns()));
    for (int64_t t = begin; t < end; ++t) {
      rotation.set_position(args.positions.as<int32_t>()[t]);
      rotation.rotate(read_row(args.x, t, buffer.data()), buffer.data(), args.x.columns());
      writer.write_row(buffer.data(), args.y, t);
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns()), rotate_rows);
}

}  // namespace

const Kernel kCpuRope = {.name = "cpu_rope",
                         .op = Op::kRope,
                         .traits = {},
                         .supports = supports_activations,
                         .workspace = nullptr,
                         .run = run};

}  // namespace octavo
