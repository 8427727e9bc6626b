// The kernels cuda_linear_{low_latency,sm90}_{vectors,blocks}: scales that are no scalars.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

// Codes whose scales something else than the scalar kernels must read.
Verdict check_scaled(const Problem& problem) {
  if (check_scalar_scales(problem).supported) return Verdict::no("scalar scales");
  return check_fp8_types(problem);
}

Verdict check_many_tokens(const Problem& problem) {
  if (const Verdict scaled = check_scaled(problem); !scaled.supported) return scaled;
  if (problem.outputs[0].dtype != DType::kBF16) return Verdict::no("y that is not bfloat16");
  return check_large_gemm(problem);
}

// The kernel counts scales in 32 bits.
Verdict check_few_tokens(const Problem& problem) {
  if (const Verdict scaled = check_scaled(problem); !scaled.supported) return scaled;
  if (problem.inputs[3].shape.elements() > INT32_MAX) return Verdict::no("2^31 scales");
  return check_low_latency(problem, kLowLatencyMaxSegments);
}

Verdict check_vectors(const Problem& problem) {
  const bool parts = std::get<LinearParams>(problem.params).block_columns > 0;
  return parts ? Verdict::no("scales by parts of K") : Verdict::yes();
}

Verdict check_blocks(const Problem& problem, int64_t block_rows) {
  const auto& params = std::get<LinearParams>(problem.params);
  if (params.block_columns == kLargeGemmPart && params.block_rows % block_rows == 0)
    return Verdict::yes();
  return Verdict::no(fmt::format("weight scales by {} x {}, not {} x {}", params.block_rows,
                                 params.block_columns, block_rows, kLargeGemmPart));
}

Verdict supports_vectors(const Problem& problem) {
  const Verdict vectors = check_vectors(problem);
  return vectors.supported ? check_many_tokens(problem) : vectors;
}
Verdict supports_blocks(const Problem& problem) {
  const Verdict blocks = check_blocks(problem, kLargeGemmBlockRows);
  return blocks.supported ? check_many_tokens(problem) : blocks;
}
Verdict supports_few_vectors(const Problem& problem) {
  const Verdict vectors = check_vectors(problem);
  return vectors.supported ? check_few_tokens(problem) : vectors;
}
Verdict supports_few_blocks(const Problem& problem) {
  const Verdict blocks = check_blocks(problem, /*block_rows=*/1);
  return blocks.supported ? check_few_tokens(problem) : blocks;
}

using LaunchFew = void(const LowLatencyGemm&, const LowLatencyConfig&, const Launch&);

template <LaunchFew launch_gemm>
void run_few(const Operands& operands, const LaunchContext& context) {
  static_assert(kLowLatencyStep == kLargeGemmPart);
  const auto args = LinearArgs::bind(operands);
  const LowLatencyGemm gemm = low_latency_gemm(args);
  if (gemm.m == 0) return;
  if (!rows_aligned(args.x, 16) || !rows_aligned(args.weight, 16))
    return run_reference_linear(operands, context);
  launch_gemm(gemm, low_latency_config(gemm.m, gemm.n, gemm.k, multiprocessor_count()),
              on(context));
}

using LaunchLarge = void(const LargeGemm&, const LargeGemmConfig&, const Launch&);
using ChooseCut = LargeGemmConfig(int m, int n, int multiprocessors);

template <LaunchLarge launch_gemm, ChooseCut choose>
void run(const Operands& operands, const LaunchContext& context) {
  const auto args = LinearArgs::bind(operands);
  const LargeGemm gemm = large_gemm(args);
  if (gemm.m == 0) return;
  if (!rows_aligned(args.x, 16) || !rows_aligned(args.weight, 16) || !rows_aligned(args.y, 8))
    return run_reference_linear(operands, context);
  launch_gemm(gemm, choose(gemm.m, gemm.n, multiprocessor_count()), on(context));
}

constexpr KernelTraits kTraits = {
    .device = DeviceType::kCuda, .programmatic = true, .only_major = 9, .plugin = "gemm_plugin"};

constexpr KernelTraits kFewTraits = {.device = DeviceType::kCuda,
                                     .programmatic = true,
                                     .only_major = 9,
                                     .plugin = "low_latency_gemm_plugin"};

}  // namespace

const Kernel kLinearLowLatencyVectors = {
    "cuda_linear_low_latency_vectors",  Op::kLinear, kFewTraits, supports_few_vectors, nullptr,
    run_few<launch_low_latency_vectors>};
const Kernel kLinearLowLatencyBlocks = {
    "cuda_linear_low_latency_blocks",  Op::kLinear, kFewTraits, supports_few_blocks, nullptr,
    run_few<launch_low_latency_blocks>};
const Kernel kLinearSm90Vectors = {
    "cuda_linear_sm90_vectors", Op::kLinear, kTraits,
    supports_vectors,           nullptr,     run<launch_large_gemm_vectors, large_gemm_config>};
const Kernel kLinearSm90Blocks = {"cuda_linear_sm90_blocks",
                                  Op::kLinear,
                                  kTraits,
                                  supports_blocks,
                                  nullptr,
                                  run<launch_large_gemm_blocks, large_gemm_blocks_config>};

}  // namespace octavo::cuda
