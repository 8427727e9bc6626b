// Residual add and RMS norm on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm.h"

#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rms_normalizer.h"
#include "backend/cpu/row_adder.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = AddRmsNormArgs::bind(operands);
  const RowAdder adder(args.x, args.residual, args.sum);
  const RmsNormalizer normalizer(args.weight, args.params->epsilon, args.sum.dtype);
  const RowWriter writer(args.y.dtype, args.sum.dtype, args.output_scale);
  const int64_t columns = args.x.columns();
  const auto add_and_norm_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(columns));
    for (int64_t row = begin; row < end; ++row) {
      adder.add(row, buffer.data());
      round_values(args.sum.dtype, buffer.data(), columns);
      normalizer.normalize(buffer.data(), buffer.data(), columns);
      writer.write_row(buffer.data(), args.y, row);
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
