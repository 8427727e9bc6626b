// The kernels cuda_grouped_linear_few_rows, …_sm90, …_stream and …_reference.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/grouped_linear.h"

#include "backend/cuda/gemm/grouped_problem.h"
#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

Verdict check_y(const Problem& problem) {
  const DType y = problem.outputs[0].dtype;
  return is_activation(y) ? Verdict::yes() : Verdict::no(fmt::format("y of {}", to_string(y)));
}

Verdict supports_reference(const Problem& problem) {
  const DType x = problem.inputs[0].dtype, weight = problem.inputs[1].dtype;
  const bool known =
      (x == DType::kE4M3 || is_activation(x)) && (is_code(weight) || is_activation(weight));
  if (!known) return Verdict::no(types_of(problem));
  return first_no({check_y(problem), check_grouped_sizes(problem)});
}

GroupedGemm with_y(const GroupedLinearArgs& args) {
  GroupedGemm gemm = grouped_gemm(args);
  gemm.y = args.y.data;
  gemm.y_stride = args.y.row_stride;
  gemm.y_type = args.y.dtype;
  return gemm;
}

void run_reference(const Operands& operands, const LaunchContext& context) {
  launch_grouped_reference(with_y(GroupedLinearArgs::bind(operands)), on(context));
}

Verdict supports_stream(const Problem& problem) {
  return first_no({check_y(problem), check_grouped_stream(problem)});
}

Verdict supports_few_rows(const Problem& problem) {
  return first_no({check_y(problem), check_few_rows(problem)});
}

void run_stream(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearArgs::bind(operands);
  if (!experts_aligned(args)) return run_reference(operands, context);
  launch_grouped_stream(with_y(args), grouped_stream_tokens(args.x.rows()), multiprocessor_count(),
                        on(context));
}

Verdict supports_sm90(const Problem& problem) {
  if (problem.outputs[0].dtype != DType::kBF16) return Verdict::no("y that is not bfloat16");
  return check_expert_gemm(problem, 0);
}

void run_sm90(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedLinearArgs::bind(operands);
  if (args.x.rows() == 0) return;
  if (!experts_aligned(args) || !rows_aligned(args.y, 8)) return run_reference(operands, context);
  ExpertGemm experts = expert_gemm(args);
  experts.gemm.y = args.y.data;
  experts.gemm.y_stride = args.y.row_stride;
  launch_expert_gemm(
      experts,
      expert_gemm_columns(experts.gemm.m, experts.experts, experts.gemm.n, multiprocessor_count()),
      on(context));
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};
constexpr KernelTraits kHopperTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .only_major = 9, .plugin = "gemm_plugin"};
constexpr KernelTraits kReferenceTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .fallback = true};

}  // namespace

const Kernel kGroupedLinearFewRows = {"cuda_grouped_linear_few_rows",
                                      Op::kGroupedLinear,
                                      kTraits,
                                      supports_few_rows,
                                      nullptr,
                                      run_stream};
const Kernel kGroupedLinearSm90 = {"cuda_grouped_linear_sm90",
                                   Op::kGroupedLinear,
                                   kHopperTraits,
                                   supports_sm90,
                                   nullptr,
                                   run_sm90};
const Kernel kGroupedLinearStream = {"cuda_grouped_linear_stream",
                                     Op::kGroupedLinear,
                                     kTraits,
                                     supports_stream,
                                     nullptr,
                                     run_stream};
const Kernel kGroupedLinearReference = {"cuda_grouped_linear_reference",
                                        Op::kGroupedLinear,
                                        kReferenceTraits,
                                        supports_reference,
                                        nullptr,
                                        run_reference};

}  // namespace octavo::cuda
