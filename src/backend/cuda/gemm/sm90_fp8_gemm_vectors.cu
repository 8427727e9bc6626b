// The FP8 linear for many tokens with a scale a token and one a weight row.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/sm90_fp8_gemm_kernel.cuh"

namespace octavo::cuda {
namespace {

template <int kColumns>
using VectorCut = large::Cut<kColumns, false, large::Scaling::kVectors>;

}  // namespace

void launch_large_gemm_vectors(const LargeGemm& gemm, const LargeGemmConfig& config,
                               const Launch& where) {
  switch (config.columns) {
    case 128:
      return large::launch_cut<VectorCut<128>>(gemm, config.share_x, where);
    case 160:
      return large::launch_cut<VectorCut<160>>(gemm, config.share_x, where);
    case 192:
      return large::launch_cut<VectorCut<192>>(gemm, config.share_x, where);
    default:
      large::launch_cut<VectorCut<256>>(gemm, config.share_x, where);
  }
}

}  // namespace octavo::cuda
