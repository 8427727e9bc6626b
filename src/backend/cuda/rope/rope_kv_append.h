// RoPE, KV append and both in one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

inline constexpr int kMaxRopeHeadDim = 512;

// Parts that a call does not have are null: rope alone has neither k, v nor caches, append alone
// has neither q nor positions.
struct RopeCall {
  const void *q, *k, *v;
  void *y, *k_cache, *v_cache;
  const int32_t* positions;
  const float* inverse_frequency;
  const int64_t* slots;
  const float *k_scale, *v_scale;
  int64_t q_stride, k_stride, v_stride, y_stride;
  int64_t tokens;
  int heads, kv_heads, head_dim, tokens_per_block;
  int vector;  // elements that may be moved at once: 8 or 1
  DType activation;
  DType cache;
};

void launch_rope_kv_append(const RopeCall& call, const Launch& where);
void launch_rope_reference(const RopeCall& call, const Launch& where);  // of q alone

}  // namespace octavo::cuda
