// The kernels cuda_linear_swiglu_low_latency and cuda_linear_swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "ops/linear_swiglu.h"

#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

Verdict check_types(const Problem& problem) {
  const auto& [x, weight, bias] = std::tie(problem.inputs[0], problem.inputs[1], problem.inputs[4]);
  if (x.dtype != DType::kE4M3 || weight.dtype != DType::kE4M3)
    return Verdict::no(
        fmt::format("x of {} and weight of {}", to_string(x.dtype), to_string(weight.dtype)));
  if (problem.outputs[0].dtype != DType::kE4M3) return Verdict::no("y that is not E4M3");
  if (bias.present && bias.dtype != DType::kBF16) return Verdict::no("a bias of another type");
  return check_scalar_scales(problem);
}

Verdict supports(const Problem& problem) {
  const Verdict types = check_types(problem);
  if (!types.supported) return types;
  const int64_t rows = problem.inputs[1].shape[0];
  if (rows % 32 != 0) return Verdict::no(fmt::format("{} outputs, not a multiple of 16", rows / 2));
  return check_large_gemm(problem);
}

// Its scale of y takes the place of a segment's.
Verdict supports_low_latency(const Problem& problem) {
  const Verdict types = check_types(problem);
  return types.supported ? check_low_latency(problem, kLowLatencyMaxSegments - 1) : types;
}

void require_aligned(const LinearSwigluArgs& args, int64_t y_elements) {
  if (!rows_aligned(args.linear.x, 16) || !rows_aligned(args.linear.weight, 16) ||
      !rows_aligned(args.y, y_elements))
    throw Error(ErrorCategory::kUnsupported, "[linear_swiglu] rows not aligned to 16 bytes");
}

void run_low_latency(const Operands& operands, const LaunchContext& context) {
  const LowLatencyGemm gemm = low_latency_swiglu_gemm(LinearSwigluArgs::bind(operands));
  if (gemm.m == 0) return;
  const auto config = low_latency_config(gemm.m, gemm.n, gemm.k, multiprocessor_count());
  launch_low_latency_swiglu(gemm, with_tactic(config, context.tactic, gemm.m, gemm.k), on(context));
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearSwigluArgs::bind(operands);
  require_aligned(args, 16);
  LargeGemm gemm = large_gemm(args.linear);
  gemm.y = args.y.data;
  gemm.y_stride = args.y.row_stride;
  gemm.output_scale = args.output_scale.as<const float>();
  if (gemm.m == 0) return;
  launch_large_gemm_swiglu(gemm, large_gemm_swiglu_config(gemm.m, gemm.n, multiprocessor_count()),
                           on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda,
                                  .programmatic = true,
                                  .only_major = 9,
                                  .plugin = "gemm_swiglu_plugin"};

constexpr KernelTraits kLowLatencyTraits = {.device = DeviceType::kCuda,
                                            .programmatic = true,
                                            .only_major = 9,
                                            .plugin = "low_latency_gemm_swiglu_plugin"};

}  // namespace

LowLatencyGemm low_latency_swiglu_gemm(const LinearSwigluArgs& args) {
  require_aligned(args, 1);
  LowLatencyGemm gemm = low_latency_gemm(args.linear);
  gemm.y = args.y.data;
  gemm.y_stride = args.y.row_stride;
  gemm.output_scale = args.output_scale.as<const float>();
  return gemm;
}

const Kernel kLinearSwigluLowLatency = {"cuda_linear_swiglu_low_latency",
                                        Op::kLinearSwiglu,
                                        kLowLatencyTraits,
                                        supports_low_latency,
                                        nullptr,
                                        run_low_latency};
const Kernel kLinearSwiglu = {
    "cuda_linear_swiglu", Op::kLinearSwiglu, kTraits, supports, nullptr, run};

}  // namespace octavo::cuda
