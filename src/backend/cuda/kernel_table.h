// The kernels of the CUDA backend by name; each is defined in the .cu or .cc file of its family.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo::cuda {

// rows/
extern const Kernel kEmbedding;
extern const Kernel kGatherRows;
// norm/
extern const Kernel kRmsNorm;
extern const Kernel kAddRmsNorm;
extern const Kernel kRmsNormReference;
// pointwise/
extern const Kernel kAdd;
extern const Kernel kSwiglu;
extern const Kernel kSwigluReference;
extern const Kernel kQuantize;
// quantize/
extern const Kernel kQuantizeDynamic;
// rope/
extern const Kernel kRope;
extern const Kernel kRopeReference;
extern const Kernel kKvAppend;
extern const Kernel kRopeKvAppend;
// gemm/
extern const Kernel kLinearLowLatency;
extern const Kernel kLinearCublasLt;
extern const Kernel kLinearSm90;
extern const Kernel kLinearLowLatencyVectors;
extern const Kernel kLinearLowLatencyBlocks;
extern const Kernel kLinearSm90Vectors;
extern const Kernel kLinearSm90Blocks;
extern const Kernel kLinearCublasLtVectors;
extern const Kernel kLinearIntegerLowLatency;
extern const Kernel kLinearIntegerSm90;
extern const Kernel kLinearReference;
extern const Kernel kLinearSwigluLowLatency;
extern const Kernel kLinearSwiglu;
extern const Kernel kAddRmsNormLinearInTurn;
extern const Kernel kAddRmsNormLinearCublasLtInTurn;
extern const Kernel kAddRmsNormLinearSwigluInTurn;
extern const Kernel kAddRmsNormLinear;
extern const Kernel kAddRmsNormLinearSwiglu;
extern const Kernel kGroupedLinearFewRows;
extern const Kernel kGroupedLinearSm90;
extern const Kernel kGroupedLinearStream;
extern const Kernel kGroupedLinearReference;
extern const Kernel kGroupedLinearSwigluFewRows;
extern const Kernel kGroupedLinearSwiglu;
// moe/
extern const Kernel kRoute;
extern const Kernel kPermute;
extern const Kernel kGroupedQuantize;
extern const Kernel kGroupedSwiglu;
extern const Kernel kCombine;
// comm/
extern const Kernel kAllReduce;
extern const Kernel kReduceScatter;
extern const Kernel kAllGather;
extern const Kernel kSend;
extern const Kernel kRecv;
extern const Kernel kAllReduceAddRmsNorm;
// attention/
extern const Kernel kAttentionDecode;
extern const Kernel kAttentionContext;
extern const Kernel kAttentionContextFp8;
extern const Kernel kAttentionContextPortable;
extern const Kernel kAttentionReference;
extern const Kernel kRopeAttentionInTurn;
extern const Kernel kRopeAttentionDecode;

}  // namespace octavo::cuda
