// RMS norm on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rms_norm.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rms_normalizer.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = RmsNormArgs::bind(operands);
  const RmsNormalizer normalizer(args.weight, args.params->epsilon, args.x.dtype);
  const RowWriter writer(args.y.dtype, args.x.dtype, args.output_scale);
  const auto norm_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(args.x.columns()));
    for (int64_t row = begin; row < end; ++row) {
      normalizer.normalize(read_row(args.x, row, buffer.data()), buffer.data(), args.x.columns());
      writer.write_row(buffer.data(), args.y, row);
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(args.x.columns()), norm_rows);
}

}  // namespace

const Kernel kCpuRmsNorm = {.name = "cpu_rms_norm",
                            .op = Op::kRmsNorm,
                            .traits = {},
                            .supports = supports_activations,
                            .workspace = nullptr,
                            .run = run};

}  // namespace octavo
