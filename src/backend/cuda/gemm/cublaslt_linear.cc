// The kernels cuda_linear_cublaslt (FP8 with static scales, 16 and 32 bits) and …_vectors (by row).
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cuda/gemm/cublaslt.h"
#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"
#include "core/checked.h"

namespace octavo::cuda {
namespace {

constexpr size_t kMaxSegments = std::extent_v<decltype(ScaleVectors::segment_end)>;

int64_t vector_bytes(int64_t m, int64_t n) { return round_up((m + n) * 4, 256); }

LtShape shape_of(const LinearArgs& args, LtScales scales) {
  return {.m = args.x.rows(),
          .n = args.weight.rows(),
          .k = args.x.columns(),
          .x_stride = args.x.row_stride,
          .weight_stride = args.weight.row_stride,
          .y_stride = args.y.row_stride,
          .operand = args.x.dtype,
          .y = args.y.dtype,
          .bias = args.bias.defined(),
          .scales = scales};
}

Verdict check_float_linear(const Problem& problem) {
  const DType x = problem.inputs[0].dtype;
  const DType y = problem.outputs[0].dtype;
  if (!is_activation(x) || problem.inputs[1].dtype != x)
    return Verdict::no("operands that are neither E4M3 nor one activation type");
  if (y != x && y != DType::kF32)
    return Verdict::no(fmt::format("{} from {}", to_string(y), to_string(x)));
  if (problem.inputs[4].present && problem.inputs[4].dtype != y)
    return Verdict::no("a bias of another type than y");
  return Verdict::yes();
}

Verdict supports(const Problem& problem) {
  if (problem.inputs[0].dtype != DType::kE4M3) return check_float_linear(problem);
  const Verdict fp8 = check_fp8_linear(problem);
  if (!fp8.supported) return fp8;
  if (problem.inputs[1].shape[0] % 16 != 0 || problem.inputs[0].shape[1] % 16 != 0)
    return Verdict::no("FP8 rows or columns that are not a multiple of 16");
  const auto& segments = std::get<LinearParams>(problem.params).segment_rows;
  if (segments.size() > kMaxSegments) return Verdict::no("more than 8 segments");
  for (const int64_t rows : segments) {
    if (rows % 16 != 0) return Verdict::no("a segment that is not a multiple of 16 rows");
  }
  if (segments.size() > 1 && problem.inputs[4].present && problem.inputs[4].dtype == DType::kF32)
    return Verdict::no("a float32 bias over several segments");
  return Verdict::yes();
}

int64_t workspace(const Problem& problem) {
  return static_cast<int64_t>(kLtWorkspaceBytes) +
         vector_bytes(problem.inputs[0].shape[0], problem.inputs[1].shape[0]);
}

int64_t largest_segment(const LinearParams& params, int64_t rows) {
  const auto& segments = params.segment_rows;
  return segments.empty() ? rows : *std::max_element(segments.begin(), segments.end());
}

std::vector<std::string> tactics_of(const Problem& problem, int64_t weight_rows, LtScales scales) {
  const Shape &x = problem.inputs[0].shape, &weight = problem.inputs[1].shape;
  const auto plan = LtPlan::find({.m = x[0],
                                  .n = weight_rows,
                                  .k = x[1],
                                  .x_stride = x[1],
                                  .weight_stride = x[1],
                                  .y_stride = weight[0],
                                  .operand = problem.inputs[0].dtype,
                                  .y = problem.outputs[0].dtype,
                                  .bias = problem.inputs[4].present,
                                  .scales = scales});
  return plan == nullptr ? std::vector<std::string>() : plan->tactics();
}

// The library's algorithms for the largest segment; smaller ones keep the first of their own.
std::vector<std::string> tactics(const Problem& problem) {
  const int64_t rows = problem.inputs[1].shape[0];
  if (problem.inputs[0].dtype != DType::kE4M3) return tactics_of(problem, rows, LtScales::kNone);
  const auto& params = std::get<LinearParams>(problem.params);
  return tactics_of(problem, largest_segment(params, rows), LtScales::kScalar);
}

// The end of the workspace that the scale vectors leave to the library.
LtWorkspace library_part(const LaunchContext& context, int64_t skip) {
  OCTAVO_CHECK(context.workspace.size() >= static_cast<size_t>(skip) + kLtWorkspaceBytes);
  return {context.workspace.data() + skip, kLtWorkspaceBytes};
}

void run_plan(const std::shared_ptr<const LtPlan>& plan, const LtPointers& pointers,
              const LinearArgs& args, const LaunchContext& context) {
  if (plan == nullptr)
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("[linear] cuBLASLt: no algorithm for x {} and weight {}",
                            to_string(args.x.shape), to_string(args.weight.shape)));
  plan->run(pointers, library_part(context, vector_bytes(args.x.rows(), args.weight.rows())),
            on(context).stream);
}

LtPointers pointers_of(const LinearArgs& args) {
  return {.x = args.x.data,
          .weight = args.weight.data,
          .x_scale = args.input_scale.as<const float>(),
          .weight_scale = args.weight_scale.as<const float>(),
          .bias = args.bias.data,
          .y = args.y.data};
}

// Spreads the scales over the head of the workspace: one a weight row, then one a token.
float* spread_scales(const LinearArgs& args, const LaunchContext& context) {
  ScaleVectors vectors = {.input_scale = args.input_scale.as<const float>(),
                          .weight_scale = args.weight_scale.as<const float>(),
                          .to = reinterpret_cast<float*>(context.workspace.data()),
                          .m = static_cast<int>(args.x.rows()),
                          .n = static_cast<int>(args.weight.rows())};
  for (const int64_t end : segment_ends(*args.params, vectors.n))
    vectors.segment_end[vectors.segments++] = static_cast<int>(end);
  launch_scale_vectors(vectors, on(context));
  return vectors.to;
}

// One product a segment: the library's kernels for vector scales are slower at every size
// (docs/performance.md). The scale of a segment is that of its first row: a multiple of 16 rows
// keeps it aligned to 16 bytes, as the library demands.
void run_by_segment(const LinearArgs& args, const float* scales, const LaunchContext& context) {
  const int64_t largest = largest_segment(*args.params, args.weight.rows());
  int64_t first = 0;
  for (const int64_t end : segment_ends(*args.params, args.weight.rows())) {
    LinearArgs part = args;
    part.weight.data += first * args.weight.row_stride;
    part.weight.shape[0] = end - first;
    part.y.data += first * size_of(args.y.dtype);
    if (args.bias.defined()) part.bias.data += first * size_of(args.bias.dtype);
    LtPointers pointers = pointers_of(part);
    pointers.weight_scale = scales + first;
    pointers.x_scale = scales + args.weight.rows();
    const auto tactic = end - first == largest ? context.tactic : std::string_view();
    run_plan(LtPlan::find(shape_of(part, LtScales::kScalar), tactic), pointers, args, context);
    first = end;
  }
}

bool aligned16(const TensorView& scale) {
  return reinterpret_cast<uintptr_t>(scale.data) % 16 == 0;
}

void run_fp8(const LinearArgs& args, const LaunchContext& context) {
  const bool merged = args.params->segment_rows.size() > 1;
  if (!merged && aligned16(args.input_scale) && aligned16(args.weight_scale)) {
    const auto plan = LtPlan::find(shape_of(args, LtScales::kScalar), context.tactic);
    return run_plan(plan, pointers_of(args), args, context);
  }
  run_by_segment(args, spread_scales(args, context), context);
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  if (args.x.rows() == 0) return;
  if (args.x.dtype != DType::kE4M3) {
    const auto plan = LtPlan::find(shape_of(args, LtScales::kNone), context.tactic);
    return run_plan(plan, pointers_of(args), args, context);
  }
  run_fp8(args, context);
}

Verdict supports_vectors(const Problem& problem) {
  const auto& params = std::get<LinearParams>(problem.params);
  const Problem::Operand& input_scale = problem.inputs[2];
  if (params.block_rows != 1 || params.block_columns != 0)
    return Verdict::no("weight scales that are not one a row");
  if (!input_scale.present || input_scale.shape.rank() != 2 || input_scale.shape[1] != 1)
    return Verdict::no("input scales that are not one a token");
  if (const Verdict types = check_fp8_types(problem); !types.supported) return types;
  if (problem.outputs[0].dtype != DType::kBF16) return Verdict::no("y that is not bfloat16");
  if (problem.inputs[4].present) return Verdict::no("a bias");
  if (problem.inputs[1].shape[0] % 16 != 0 || problem.inputs[0].shape[1] % 16 != 0)
    return Verdict::no("FP8 rows or columns that are not a multiple of 16");
  return Verdict::yes();
}

std::vector<std::string> vector_tactics(const Problem& problem) {
  return tactics_of(problem, problem.inputs[1].shape[0], LtScales::kOuterVector);
}

bool is_vector(const TensorView& scales) {
  return aligned16(scales) && (scales.rows() <= 1 || scales.row_stride == 1);
}

void run_vectors(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  if (args.x.rows() == 0) return;
  if (!is_vector(args.input_scale) || !is_vector(args.weight_scale))
    return run_reference_linear(operands, context);
  run_plan(LtPlan::find(shape_of(args, LtScales::kOuterVector), context.tactic), pointers_of(args),
           args, context);
}

// The library chooses tiles by the number of rows, and its kernels know no grid dependency.
constexpr KernelTraits kTraits = {
    .device = DeviceType::kCuda, .batch_invariant = false, .plugin = "gemm_plugin"};

}  // namespace

const Kernel kLinearCublasLt = {
    "cuda_linear_cublaslt", Op::kLinear, kTraits, supports, workspace, run, tactics};
const Kernel kLinearCublasLtVectors = {"cuda_linear_cublaslt_vectors",
                                       Op::kLinear,
                                       kTraits,
                                       supports_vectors,
                                       workspace,
                                       run_vectors,
                                       vector_tactics};

}  // namespace octavo::cuda
