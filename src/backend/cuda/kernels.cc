// The catalogue of CUDA kernels, in order of preference for each op.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/kernels.h"

#include <array>

#include "backend/cuda/kernel_table.h"

namespace octavo {

std::span<const Kernel> cuda_kernels() {
  static const std::array table = {
      cuda::kEmbedding,
      cuda::kGatherRows,
      cuda::kRmsNorm,
      cuda::kRmsNormReference,
      cuda::kAddRmsNorm,
      cuda::kAdd,
      cuda::kSwiglu,
      cuda::kSwigluReference,
      cuda::kQuantize,
      cuda::kQuantizeDynamic,
      cuda::kRope,
      cuda::kRopeReference,
      cuda::kKvAppend,
      cuda::kRopeKvAppend,
      cuda::kLinearLowLatency,
      cuda::kLinearCublasLt,
      cuda::kLinearSm90,
      cuda::kLinearLowLatencyVectors,
      cuda::kLinearLowLatencyBlocks,
      cuda::kLinearSm90Vectors,
      cuda::kLinearSm90Blocks,
      cuda::kLinearCublasLtVectors,
      cuda::kLinearIntegerLowLatency,
      cuda::kLinearIntegerSm90,
      cuda::kLinearReference,
      cuda::kLinearSwigluLowLatency,
      cuda::kLinearSwiglu,
      cuda::kAddRmsNormLinearInTurn,
      cuda::kAddRmsNormLinearCublasLtInTurn,
      cuda::kAddRmsNormLinearSwigluInTurn,
      cuda::kAddRmsNormLinear,
      cuda::kAddRmsNormLinearSwiglu,
      cuda::kRoute,
      cuda::kPermute,
      cuda::kGroupedLinearFewRows,
      cuda::kGroupedLinearSm90,
      cuda::kGroupedLinearStream,
      cuda::kGroupedLinearReference,
      cuda::kGroupedLinearSwigluFewRows,
      cuda::kGroupedLinearSwiglu,
      cuda::kGroupedQuantize,
      cuda::kGroupedSwiglu,
      cuda::kCombine,
      cuda::kAllReduce,
      cuda::kReduceScatter,
      cuda::kAllGather,
      cuda::kSend,
      cuda::kRecv,
      cuda::kAllReduceAddRmsNorm,
      cuda::kAttentionDecode,
      cuda::kAttentionContextFp8,
      cuda::kAttentionContext,
      cuda::kAttentionContextPortable,
      cuda::kAttentionReference,
      cuda::kRopeAttentionInTurn,
      cuda::kRopeAttentionDecode,
  };
  return table;
}

}  // namespace octavo
