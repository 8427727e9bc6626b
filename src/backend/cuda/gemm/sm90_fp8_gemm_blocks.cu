// The FP8 linear for many tokens with scales by parts of K: sums of a part are scaled and added.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/sm90_fp8_gemm_kernel.cuh"

namespace octavo::cuda {

void launch_large_gemm_blocks(const LargeGemm& gemm, const LargeGemmConfig& config,
                              const Launch& where) {
  static_assert(kLargeGemmPart == large::kStep);
  large::launch_cut<large::Cut<kLargeGemmBlockRows, false, large::Scaling::kBlocks>>(
      gemm, config.share_x, where);
}

}  // namespace octavo::cuda
