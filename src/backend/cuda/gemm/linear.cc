// The kernels cuda_linear_low_latency, cuda_linear_sm90 and cuda_linear_reference.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/linear.h"

#include <algorithm>

#include "backend/cuda/gemm/reference.h"
#include "backend/cuda/gemm/sm90_fp8_gemm.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {

std::vector<int64_t> segment_ends(const LinearParams& params, int64_t rows) {
  std::vector<int64_t> ends;
  int64_t end = 0;
  for (const int64_t segment : params.segment_rows) ends.push_back(end += segment);
  if (ends.empty()) ends.push_back(rows);
  return ends;
}

Verdict check_scalar_scales(const Problem& problem) {
  if (std::get<LinearParams>(problem.params).block_rows > 0)
    return Verdict::no("weight scales by block");
  const auto& input_scale = problem.inputs[2];
  if (input_scale.present && input_scale.shape.rank() != 1)
    return Verdict::no("input scales made at run time");
  return Verdict::yes();
}

Verdict check_fp8_types(const Problem& problem) {
  const auto& [x, weight] = std::tie(problem.inputs[0], problem.inputs[1]);
  if (x.dtype != DType::kE4M3 || weight.dtype != DType::kE4M3)
    return Verdict::no(
        fmt::format("x of {} and weight of {}", to_string(x.dtype), to_string(weight.dtype)));
  const DType y = problem.outputs[0].dtype;
  if (!is_activation(y)) return Verdict::no(fmt::format("y of {}", to_string(y)));
  if (problem.inputs[4].present && problem.inputs[4].dtype != y)
    return Verdict::no("a bias of another type than y");
  return Verdict::yes();
}

Verdict check_fp8_linear(const Problem& problem) {
  const Verdict scales = check_scalar_scales(problem);
  return scales.supported ? check_fp8_types(problem) : scales;
}

ScaleStrides scale_strides(const LinearArgs& args) {
  ScaleStrides strides;
  const LinearParams& params = *args.params;
  if (args.input_scale.defined() && args.input_scale.shape.rank() == 2) {
    strides.input_row = args.input_scale.row_stride;
    strides.input_part = args.input_scale.columns() > 1 ? 1 : 0;
  }
  if (params.block_rows > 0) {
    strides.weight_row = args.weight_scale.row_stride;
    strides.block_rows = static_cast<int>(std::min<int64_t>(params.block_rows, INT32_MAX));
    strides.part = static_cast<int>(std::min<int64_t>(params.block_columns, INT32_MAX));
  }
  return strides;
}

int multiprocessor_count() {
  int device = 0;
  int count = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  OCTAVO_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

Verdict check_large_gemm(const Problem& problem) {
  const auto& params = std::get<LinearParams>(problem.params);
  const int64_t m = problem.inputs[0].shape[0], k = problem.inputs[0].shape[1];
  const int64_t n = problem.inputs[1].shape[0];
  if (k % 16 != 0) return Verdict::no(fmt::format("{} columns, not a multiple of 16", k));
  if (params.segment_rows.size() > kLargeGemmMaxSegments)
    return Verdict::no(fmt::format("{} segments", params.segment_rows.size()));
  for (const int64_t end : segment_ends(params, n)) {
    if (end % 8 != 0) return Verdict::no("a segment that is not a multiple of 8 rows");
  }
  constexpr int64_t kMost = INT32_MAX / 2;
  if (m > kMost || n > kMost || k > kMost) return Verdict::no("an operand of 2^30 rows or columns");
  return Verdict::yes();
}

LargeGemm large_gemm(const LinearArgs& args) {
  LargeGemm gemm = {.x = args.x.as<const uint8_t>(),
                    .weight = args.weight.as<const uint8_t>(),
                    .input_scale = args.input_scale.as<const float>(),
                    .weight_scale = args.weight_scale.as<const float>(),
                    .bias = args.bias.data,
                    .y = args.y.data,
                    .x_stride = args.x.row_stride,
                    .weight_stride = args.weight.row_stride,
                    .y_stride = args.y.row_stride,
                    .m = static_cast<int>(args.x.rows()),
                    .n = static_cast<int>(args.weight.rows()),
                    .k = static_cast<int>(args.x.columns()),
                    .strides = scale_strides(args)};
  for (const int64_t end : segment_ends(*args.params, gemm.n))
    gemm.segment_end[gemm.segments++] = static_cast<int>(end);
  return gemm;
}

void run_reference_linear(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  ReferenceGemm gemm = {.x = args.x.data,
                        .weight = args.weight.data,
                        .input_scale = args.input_scale.as<const float>(),
                        .weight_scale = args.weight_scale.as<const float>(),
                        .bias = args.bias.data,
                        .y = args.y.data,
                        .x_stride = args.x.row_stride,
                        .weight_stride = args.weight.row_stride,
                        .y_stride = args.y.row_stride,
                        .m = args.x.rows(),
                        .n = args.weight.rows() * rows_in_row(args.weight.dtype),
                        .k = args.x.columns(),
                        .x_type = args.x.dtype,
                        .weight_type = args.weight.dtype,
                        .y_type = args.y.dtype,
                        .strides = scale_strides(args)};
  for (const int64_t end : segment_ends(*args.params, gemm.n))
    gemm.segment_end[gemm.segments++] = end;
  launch_reference_gemm(gemm, on(context));
}

Verdict check_low_latency(const Problem& problem, int max_segments) {
  const auto& params = std::get<LinearParams>(problem.params);
  const int64_t rows = problem.inputs[0].shape[0];
  const int64_t k = problem.inputs[0].shape[1];
  if (rows > kLowLatencyMaxTokens)
    return Verdict::no(fmt::format("{} rows, at most {}", rows, kLowLatencyMaxTokens));
  if (k % 16 != 0) return Verdict::no(fmt::format("{} columns, not a multiple of 16", k));
  if (static_cast<int>(params.segment_rows.size()) > max_segments)
    return Verdict::no(fmt::format("{} segments", params.segment_rows.size()));
  if (problem.inputs[1].shape[0] > INT32_MAX / 2 || k > INT32_MAX / 2)
    return Verdict::no("a weight of 2^30 rows or columns");
  return Verdict::yes();
}

LowLatencyGemm low_latency_gemm(const LinearArgs& args) {
  LowLatencyGemm gemm = {.x = args.x.as<const uint8_t>(),
                         .weight = args.weight.as<const uint8_t>(),
                         .input_scale = args.input_scale.as<const float>(),
                         .weight_scale = args.weight_scale.as<const float>(),
                         .bias = args.bias.data,
                         .y = args.y.data,
                         .x_stride = args.x.row_stride,
                         .weight_stride = args.weight.row_stride,
                         .y_stride = args.y.row_stride,
                         .m = static_cast<int>(args.x.rows()),
                         .n = static_cast<int>(args.weight.rows()),
                         .k = static_cast<int>(args.x.columns()),
                         .y_is_float = args.y.dtype == DType::kF32,
                         .strides = scale_strides(args)};
  for (const int64_t end : segment_ends(*args.params, gemm.n))
    gemm.segment_end[gemm.segments++] = static_cast<int>(end);
  return gemm;
}

namespace {

Verdict supports_low_latency(const Problem& problem) {
  const Verdict fp8 = check_fp8_linear(problem);
  return fp8.supported ? check_low_latency(problem, kLowLatencyMaxSegments) : fp8;
}

void run_low_latency(const Operands& operands, const LaunchContext& context) {
  const LowLatencyGemm gemm = low_latency_gemm(LinearArgs::bind(operands));
  if (gemm.m == 0) return;
  const auto config = low_latency_config(gemm.m, gemm.n, gemm.k, multiprocessor_count());
  launch_low_latency(gemm, with_tactic(config, context.tactic, gemm.m, gemm.k), on(context));
}

Verdict supports_sm90(const Problem& problem) {
  const Verdict fp8 = check_fp8_linear(problem);
  if (!fp8.supported) return fp8;
  if (problem.outputs[0].dtype != DType::kBF16) return Verdict::no("y that is not bfloat16");
  return check_large_gemm(problem);
}

void run_sm90(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  const LargeGemm gemm = large_gemm(args);
  if (gemm.m == 0) return;
  if (!rows_aligned(args.x, 16) || !rows_aligned(args.weight, 16) || !rows_aligned(args.y, 8))
    return run_reference_linear(operands, context);
  launch_large_gemm(gemm, large_gemm_config(gemm.m, gemm.n, multiprocessor_count()), on(context));
}

Verdict supports_reference(const Problem& problem) {
  const auto operand = [](DType dtype) { return dtype == DType::kE4M3 || is_activation(dtype); };
  const auto weight = [&](DType dtype) { return operand(dtype) || is_code(dtype); };
  const DType y = problem.outputs[0].dtype;
  if (!operand(problem.inputs[0].dtype) || !weight(problem.inputs[1].dtype) || !is_activation(y))
    return Verdict::no("an element type that it does not read or write");
  if (problem.inputs[4].present && problem.inputs[4].dtype != y)
    return Verdict::no("a bias of another type than y");
  const size_t segments = std::get<LinearParams>(problem.params).segment_rows.size();
  if (segments > kMaxSegments) return Verdict::no(fmt::format("{} segments", segments));
  return Verdict::yes();
}

constexpr KernelTraits kHopperTraits = {.device = DeviceType::kCuda,
                                        .programmatic = true,
                                        .only_major = 9,
                                        .plugin = "low_latency_gemm_plugin"};
constexpr KernelTraits kManyTokensTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .only_major = 9, .plugin = "gemm_plugin"};
constexpr KernelTraits kReferenceTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .fallback = true};

}  // namespace

const Kernel kLinearLowLatency = {"cuda_linear_low_latency", Op::kLinear, kHopperTraits,
                                  supports_low_latency,      nullptr,     run_low_latency};
const Kernel kLinearSm90 = {"cuda_linear_sm90", Op::kLinear, kManyTokensTraits,
                            supports_sm90,      nullptr,     run_sm90};
const Kernel kLinearReference = {"cuda_linear_reference", Op::kLinear, kReferenceTraits,
                                 supports_reference,      nullptr,     run_reference_linear};

}  // namespace octavo::cuda
