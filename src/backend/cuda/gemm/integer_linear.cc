// The kernels cuda_linear_integer_low_latency and cuda_linear_integer_sm90.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/integer_large.h"
#include "backend/cuda/gemm/integer_low_latency.h"
#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

// 8-bit codes with a scale a row, 4-bit codes with one a row and kIntegerGroup columns.
Verdict check_scheme(const Problem& problem) {
  const auto& params = std::get<LinearParams>(problem.params);
  const DType weight = problem.inputs[1].dtype;
  if (weight != DType::kI8 && weight != DType::kI4x2)
    return Verdict::no(fmt::format("a weight of {}", to_string(weight)));
  const int64_t columns = weight == DType::kI8 ? 0 : kIntegerGroup;
  if (params.block_rows != 1 || params.block_columns != columns)
    return Verdict::no(fmt::format("scales by {} x {} of {}", params.block_rows,
                                   params.block_columns, to_string(weight)));
  return Verdict::yes();
}

Verdict check_integer(const Problem& problem) {
  if (const Verdict scheme = check_scheme(problem); !scheme.supported) return scheme;
  if (problem.inputs[0].dtype != DType::kBF16)
    return Verdict::no(fmt::format("x of {}", to_string(problem.inputs[0].dtype)));
  const DType y = problem.outputs[0].dtype;
  if (problem.inputs[4].present && problem.inputs[4].dtype != y)
    return Verdict::no("a bias of another type than y");
  const int64_t k = problem.inputs[0].shape[1];
  if (k % 16 != 0) return Verdict::no(fmt::format("{} columns, not a multiple of 16", k));
  constexpr int64_t kMost = INT32_MAX / 4;
  if (problem.inputs[0].shape[0] > kMost || problem.inputs[1].shape[0] > kMost || k > kMost)
    return Verdict::no("an operand of 2^29 rows or columns");
  return Verdict::yes();
}

IntegerGemm integer_gemm(const LinearArgs& args) {
  return {.shape = {.m = static_cast<int>(args.x.rows()),
                    .n = static_cast<int>(args.weight.rows() * rows_in_row(args.weight.dtype)),
                    .k = static_cast<int>(args.x.columns()),
                    .four_bits = args.weight.dtype == DType::kI4x2},
          .x = args.x.data,
          .weight = args.weight.as<const uint8_t>(),
          .scale = args.weight_scale.as<const float>(),
          .bias = args.bias.data,
          .y = args.y.data,
          .x_stride = args.x.row_stride,
          .weight_stride = args.weight.row_stride,
          .scale_stride = args.weight_scale.row_stride,
          .y_stride = args.y.row_stride,
          .y_is_float = args.y.dtype == DType::kF32};
}

Verdict supports_low_latency(const Problem& problem) {
  if (const Verdict integer = check_integer(problem); !integer.supported) return integer;
  const DType y = problem.outputs[0].dtype;
  if (!is_activation(y)) return Verdict::no(fmt::format("y of {}", to_string(y)));
  const int64_t rows = problem.inputs[0].shape[0];
  if (rows > kIntegerMaxTokens)
    return Verdict::no(fmt::format("{} rows, at most {}", rows, kIntegerMaxTokens));
  return Verdict::yes();
}

void run_low_latency(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  const IntegerGemm gemm = integer_gemm(args);
  if (gemm.shape.m == 0) return;
  if (!rows_aligned(args.x, 8) || !rows_aligned(args.weight, 16))
    return run_reference_linear(operands, context);
  launch_integer_low_latency(gemm, integer_config(gemm.shape, multiprocessor_count()), on(context));
}

Verdict supports_large(const Problem& problem) {
  if (const Verdict integer = check_integer(problem); !integer.supported) return integer;
  if (problem.outputs[0].dtype != DType::kBF16) return Verdict::no("y that is not bfloat16");
  const int64_t rows = problem.inputs[1].shape[0] * rows_in_row(problem.inputs[1].dtype);
  if (rows % 2 != 0) return Verdict::no("an odd number of outputs");
  return Verdict::yes();
}

void run_large(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  const IntegerGemm gemm = integer_gemm(args);
  if (gemm.shape.m == 0) return;
  if (!rows_aligned(args.x, 8) || !rows_aligned(args.weight, 16) || !rows_aligned(args.y, 2))
    return run_reference_linear(operands, context);
  launch_integer_large(gemm, integer_large_rows(gemm.shape, multiprocessor_count()), on(context));
}

// No plugin flag is theirs: nothing else but the fallback reads such weights.
constexpr KernelTraits kTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .only_major = 9};

}  // namespace

const Kernel kLinearIntegerLowLatency = {"cuda_linear_integer_low_latency",
                                         Op::kLinear,
                                         kTraits,
                                         supports_low_latency,
                                         nullptr,
                                         run_low_latency};
const Kernel kLinearIntegerSm90 = {
    "cuda_linear_integer_sm90", Op::kLinear, kTraits, supports_large, nullptr, run_large};

}  // namespace octavo::cuda
