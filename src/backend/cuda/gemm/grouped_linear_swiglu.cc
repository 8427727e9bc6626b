// The kernels cuda_grouped_linear_swiglu_few_rows and cuda_grouped_linear_swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "ops/grouped_linear_swiglu.h"

#include "backend/cuda/gemm/grouped_problem.h"
#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

Verdict check_types(const Problem& problem) {
  if (problem.inputs[0].dtype != DType::kE4M3) return Verdict::no("x that is not E4M3");
  if (problem.outputs[0].dtype != DType::kE4M3) return Verdict::no("y that is not E4M3");
  return Verdict::yes();
}

Verdict supports_few_rows(const Problem& problem) {
  return first_no({check_types(problem), check_few_rows(problem)});
}

Verdict supports_sm90(const Problem& problem) {
  const int64_t rows = problem.inputs[1].shape[1];
  if (rows % 32 != 0) return Verdict::no(fmt::format("{} outputs, not a multiple of 16", rows / 2));
  return first_no({check_types(problem), check_expert_gemm(problem, /*more_scales=*/1)});
}

void require_aligned(const GroupedLinearSwigluArgs& args, int64_t y_elements) {
  if (!experts_aligned(args.linear) || !rows_aligned(args.y, y_elements))
    throw Error(ErrorCategory::kUnsupported,
                "[grouped_linear_swiglu] rows not aligned to 16 bytes");
}

void run_few_rows(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearSwigluArgs::bind(operands);
  require_aligned(args, 1);
  GroupedGemm gemm = grouped_gemm(args.linear);
  gemm.y = args.y.data;
  gemm.y_stride = args.y.row_stride;
  gemm.output_scale = args.output_scale.as<const float>();
  launch_grouped_stream_swiglu(gemm, grouped_stream_tokens(gemm.rows), multiprocessor_count(),
                               on(context));
}

void run_sm90(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearSwigluArgs::bind(operands);
  require_aligned(args, 16);
  ExpertGemm experts = expert_gemm(args.linear);
  experts.gemm.y = args.y.data;
  experts.gemm.y_stride = args.y.row_stride;
  experts.gemm.output_scale = args.output_scale.as<const float>();
  if (experts.gemm.m > 0) launch_expert_gemm_swiglu(experts, on(context));
}

constexpr KernelTraits kTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .plugin = "gemm_swiglu_plugin"};
constexpr KernelTraits kHopperTraits = {.device = DeviceType::kCuda,
                                        .programmatic = true,
                                        .only_major = 9,
                                        .plugin = "gemm_swiglu_plugin"};

}  // namespace

const Kernel kGroupedLinearSwigluFewRows = {"cuda_grouped_linear_swiglu_few_rows",
                                            Op::kGroupedLinearSwiglu,
                                            kTraits,
                                            supports_few_rows,
                                            nullptr,
                                            run_few_rows};
const Kernel kGroupedLinearSwiglu = {"cuda_grouped_linear_swiglu",
                                     Op::kGroupedLinearSwiglu,
                                     kHopperTraits,
                                     supports_sm90,
                                     nullptr,
                                     run_sm90};

}  // namespace octavo::cuda
