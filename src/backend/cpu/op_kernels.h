// The CPU kernels, one an op, each defined in <op>.cc, and the references beside them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

extern const Kernel kCpuEmbedding;
extern const Kernel kCpuRmsNorm;
extern const Kernel kCpuAdd;
extern const Kernel kCpuAddRmsNorm;
extern const Kernel kCpuQuantize;
extern const Kernel kCpuQuantizeDynamic;
extern const Kernel kCpuRope;
extern const Kernel kCpuKvAppend;
extern const Kernel kCpuRopeKvAppend;
extern const Kernel kCpuAttention;
extern const Kernel kCpuRopeAttention;
extern const Kernel kCpuSwiglu;
extern const Kernel kCpuLinearSwiglu;
extern const Kernel kCpuAddRmsNormLinear;
extern const Kernel kCpuGatherRows;
extern const Kernel kCpuRoute;
extern const Kernel kCpuPermute;
extern const Kernel kCpuGroupedQuantize;
extern const Kernel kCpuGroupedSwiglu;
extern const Kernel kCpuGroupedLinearSwiglu;
extern const Kernel kCpuCombine;
extern const Kernel kCpuAllReduce;
extern const Kernel kCpuReduceScatter;
extern const Kernel kCpuAllGather;
extern const Kernel kCpuSend;
extern const Kernel kCpuRecv;
extern const Kernel kCpuAllReduceAddRmsNorm;

// reference.cc, attention_reference.cc
extern const Kernel kCpuRmsNormReference;
extern const Kernel kCpuRopeReference;
extern const Kernel kCpuSwigluReference;
extern const Kernel kCpuAttentionReference;

}  // namespace octavo
