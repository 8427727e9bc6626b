// Residual add and RMS norm on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rms_normalizer.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = AddRmsNormArgs::bind(operands);
  const RowWriter sums(args.sum.dtype, args.sum.dtype, {});
  const RmsNormalizer normalizer(args.weight, args.params->epsilon, args.sum.dtype);
  const RowWriter norms(args.y.dtype, args.sum.dtype, args.output_scale);
  const int64_t columns = args.x.columns();
  const auto add_and_norm_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> sum(static_cast<size_t>(columns));
    std::vector<float> buffer(sum.size());
    for (int64_t row = begin; row < end; ++row) {
      add_row(args.x, args.residual, row, sum.data(), buffer.data());
      sums.write_row(sum.data(), args.sum, row);
      round_values(args.sum.dtype, sum.data(), columns);
      normalizer.normalize(sum.data(), sum.data(), columns);
      norms.write_row(sum.data(), args.y, row);
    }
  };
  context.pool->parallel_for(args.x.rows(), rows_grain(columns), add_and_norm_rows);
}

// The norm reads the sum, so that must be a type that it computes on.
Verdict supports(const Problem& problem) {
  if (!is_activation(problem.outputs[0].dtype)) {
    return Verdict::no(fmt::format("expected a float32 or bfloat16 sum, got {}",
                                   to_string(problem.outputs[0].dtype)));
  }
  return supports_activations(problem);
}

}  // namespace

const Kernel kCpuAddRmsNorm = {.name = "cpu_add_rms_norm",
                               .op = Op::kAddRmsNorm,
                               .traits = {},
                               .supports = supports,
                               .workspace = nullptr,
                               .run = run};

}  // namespace octavo
