// The kernels cuda_linear_sm90_vectors and cuda_linear_sm90_blocks: scales that are no scalars.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/linear.h"
#include "backend/cuda/kernel_table.h"
#include "backend/cuda/problem.h"

namespace octavo::cuda {
namespace {

// What both ask: codes whose scales something else than the scalar kernels must read.
Verdict check_scaled(const Problem& problem) {
  if (check_scalar_scales(problem).supported) return Verdict::no("scalar scales");
  if (const Verdict types = check_fp8_types(problem); !types.supported) return types;
  if (problem.outputs[0].dtype != DType::kBF16) return Verdict::no("y that is not bfloat16");
  return check_large_gemm(problem);
}

Verdict supports_vectors(const Problem& problem) {
  if (std::get<LinearParams>(problem.params).block_columns > 0)
    return Verdict::no("scales by parts of K");
  return check_scaled(problem);
}

Verdict supports_blocks(const Problem& problem) {
  const auto& params = std::get<LinearParams>(problem.params);
  if (params.block_columns != kLargeGemmPart || params.block_rows % kLargeGemmBlockRows != 0)
    return Verdict::no(fmt::format("weight scales by {} x {}, not 128 x 128", params.block_rows,
                                   params.block_columns));
  return check_scaled(problem);
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

}  // namespace

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
