// The kernels cuda_route, cuda_permute, cuda_combine, cuda_grouped_quantize, cuda_grouped_swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/moe/moe.h"

#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "ops/combine.h"
#include "ops/grouped_quantize.h"
#include "ops/grouped_swiglu.h"
#include "ops/permute.h"
#include "ops/route.h"

namespace octavo::cuda {
namespace {

Verdict check_experts(int64_t experts) {
  if (experts > kMostExperts)
    return Verdict::no(fmt::format("{} experts, at most {}", experts, kMostExperts));
  return Verdict::yes();
}

// A grid has at most 2^31 - 1 blocks, of which a row takes up to `pieces`.
Verdict check_rows(const Problem::Operand& matrix, int64_t pieces) {
  if (matrix.shape[0] > INT32_MAX / pieces)
    return Verdict::no(fmt::format("{} rows", matrix.shape[0]));
  return Verdict::yes();
}

Verdict supports_route(const Problem& problem) {
  const DType weights = problem.outputs[1].dtype;
  if (!is_activation(problem.inputs[0].dtype) || weights != DType::kF32)
    return Verdict::no(fmt::format("logits of {} and weights of {}",
                                   to_string(problem.inputs[0].dtype), to_string(weights)));
  return check_experts(problem.inputs[0].shape[1]);
}

void run_route(const Operands& operands, const LaunchContext& context) {
  const auto args = RouteArgs::bind(operands);
  launch_route({.logits = args.logits.data,
                .slots = args.slots.as<const int64_t>(),
                .experts = args.experts.as<int32_t>(),
                .weights = args.weights.as<float>(),
                .logits_stride = args.logits.row_stride,
                .experts_stride = args.experts.row_stride,
                .weights_stride = args.weights.row_stride,
                .tokens = args.logits.rows(),
                .num_experts = static_cast<int>(args.logits.columns()),
                .top_k = static_cast<int>(args.params->top_k),
                .normalize = args.params->normalize,
                .logits_type = args.logits.dtype},
               on(context));
}

Verdict supports_permute(const Problem& problem) {
  const DType x = problem.inputs[0].dtype, y = problem.outputs[2].dtype;
  if (!is_activation(x) || y != x)
    return Verdict::no(fmt::format("y of {} and x of {}", to_string(y), to_string(x)));
  return first_no({check_experts(std::get<PermuteParams>(problem.params).num_experts),
                   check_rows(problem.outputs[2], 1)});
}

void run_permute(const Operands& operands, const LaunchContext& context) {
  const auto args = PermuteArgs::bind(operands);
  const int64_t element = size_of(args.x.dtype);
  launch_permute({.x = args.x.data,
                  .experts = args.experts.as<const int32_t>(),
                  .rows = args.rows.as<int32_t>(),
                  .offsets = args.offsets.as<int32_t>(),
                  .y = args.y.data,
                  .experts_stride = args.experts.row_stride,
                  .rows_stride = args.rows.row_stride,
                  .x_stride = args.x.row_stride * element,
                  .y_stride = args.y.row_stride * element,
                  .row_bytes = args.x.columns() * element,
                  .tokens = args.x.rows(),
                  .num_experts = static_cast<int>(args.params->num_experts),
                  .top_k = static_cast<int>(args.experts.columns())},
                 on(context));
}

Verdict supports_combine(const Problem& problem) {
  const DType x = problem.inputs[0].dtype, y = problem.outputs[0].dtype;
  if (!is_activation(x) || y != x)
    return Verdict::no(fmt::format("y of {} and x of {}", to_string(y), to_string(x)));
  return Verdict::yes();
}

void run_combine(const Operands& operands, const LaunchContext& context) {
  const auto args = CombineArgs::bind(operands);
  launch_combine({.x = args.x.data,
                  .rows = args.rows.as<const int32_t>(),
                  .weights = args.weights.as<const float>(),
                  .y = args.y.data,
                  .x_stride = args.x.row_stride,
                  .rows_stride = args.rows.row_stride,
                  .weights_stride = args.weights.row_stride,
                  .y_stride = args.y.row_stride,
                  .tokens = args.y.rows(),
                  .columns = args.y.columns(),
                  .top_k = static_cast<int>(args.rows.columns()),
                  .vector = vector_width(args.y.columns(), {&args.x, &args.y}),
                  .activation = args.x.dtype},
                 on(context));
}

Verdict supports_codes(const Problem& problem, std::initializer_list<int> activations) {
  constexpr int64_t kMostPieces = 1 << 10;
  return first_no({check_activations(problem, activations),
                   check_experts(problem.inputs.back().shape[0] - 1),
                   check_rows(problem.inputs[0], kMostPieces)});
}

Verdict supports_quantize(const Problem& problem) { return supports_codes(problem, {0}); }
Verdict supports_swiglu(const Problem& problem) { return supports_codes(problem, {0, 1}); }

void run_codes(const TensorView& a, const TensorView& b, const TensorView& scales,
               const TensorView& offsets, const TensorView& y, const LaunchContext& context) {
  launch_expert_codes({.a = a.data,
                       .b = b.data,
                       .scales = scales.as<const float>(),
                       .offsets = offsets.as<const int32_t>(),
                       .y = y.data,
                       .a_stride = a.row_stride,
                       .b_stride = b.row_stride,
                       .y_stride = y.row_stride,
                       .rows = y.rows(),
                       .columns = y.columns(),
                       .num_experts = static_cast<int>(offsets.rows() - 1),
                       .vector = vector_width(y.columns(), {&a, &b, &y}),
                       .activation = a.dtype},
                      on(context));
}

void run_quantize(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedQuantizeArgs::bind(operands);
  run_codes(args.x, {}, args.scale, args.offsets, args.y, context);
}

void run_swiglu(const Operands& operands, const LaunchContext& context) {
  const auto args = GroupedSwigluArgs::bind(operands);
  run_codes(args.gate, args.up, args.output_scale, args.offsets, args.y, context);
}

constexpr KernelTraits kTraits = {.device = DeviceType::kCuda, .programmatic = true};

}  // namespace

const Kernel kRoute = {"cuda_route", Op::kRoute, kTraits, supports_route, nullptr, run_route};
const Kernel kPermute = {"cuda_permute",   Op::kPermute, kTraits,
                         supports_permute, nullptr,      run_permute};
const Kernel kCombine = {"cuda_combine",   Op::kCombine, kTraits,
                         supports_combine, nullptr,      run_combine};
const Kernel kGroupedQuantize = {"cuda_grouped_quantize",
                                 Op::kGroupedQuantize,
                                 kTraits,
                                 supports_quantize,
                                 nullptr,
                                 run_quantize};
const Kernel kGroupedSwiglu = {
    "cuda_grouped_swiglu", Op::kGroupedSwiglu, kTraits, supports_swiglu, nullptr, run_swiglu};

}  // namespace octavo::cuda
