// The kernel cuda_quantize_dynamic.
// SPDX-License-Identifier: Apache-2.0
#include "ops/quantize_dynamic.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "backend/cuda/quantize/quantize_dynamic.h"

namespace octavo::cuda {
namespace {

Verdict supports(const Problem& problem) {
  if (problem.inputs[0].shape[1] > INT32_MAX / 2) return Verdict::no("a row of 2^30 columns");
  if (problem.outputs[0].shape[1] > UINT16_MAX) return Verdict::no("more than 65,535 groups a row");
  return check_activations(problem, {0});
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = QuantizeDynamicArgs::bind(operands);
  const auto columns = static_cast<int>(args.x.columns());
  if (columns == 0) return;
  const int64_t group = args.params->group;
  launch_quantize_dynamic(
      {.x = args.x.data,
       .scale = args.scale.as<float>(),
       .y = args.y.data,
       .x_stride = args.x.row_stride,
       .scale_stride = args.scale.row_stride,
       .y_stride = args.y.row_stride,
       .rows = args.x.rows(),
       .columns = columns,
       .group = group == 0 || group > columns ? columns : static_cast<int>(group),
       .vector = vector_width(columns, {&args.x, &args.y}),
       .clamp_low = args.params->clamp_low,
       .clamp_high = args.params->clamp_high,
       .activation = args.x.dtype},
      on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};

}  // namespace

const Kernel kQuantizeDynamic = {
    "cuda_quantize_dynamic", Op::kQuantizeDynamic, kTraits, supports, nullptr, run};

}  // namespace octavo::cuda
