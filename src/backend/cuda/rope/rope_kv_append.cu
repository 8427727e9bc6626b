// RoPE, KV append and both in one: a block a token, its sines and cosines computed once.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/rope/rope_kv_append.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

struct Turn {
  const float* cosine;  // null: not rotated
  const float* sine;
};

// One vector of a head's first half and its partner in the second half, rotated and rounded to T.
template <typename T, int kWidth>
__device__ __forceinline__ void read_pair(float (&low)[kWidth], float (&high)[kWidth],
                                          const T* head, int at, int half, const Turn& turn) {
  device::load_floats<kWidth>(low, head + at);
  device::load_floats<kWidth>(high, head + half + at);
  if (turn.cosine == nullptr) return;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const float cosine = turn.cosine[at + i];
    const float sine = turn.sine[at + i];
    const float x = low[i];
    low[i] = x * cosine - high[i] * sine;
    high[i] = high[i] * cosine + x * sine;
  }
}

template <typename T, typename Cache, int kWidth>
__global__ void __launch_bounds__(kThreads) rope_kv_append_kernel(RopeCall call) {
  __shared__ float cosine[kMaxRopeHeadDim / 2];
  __shared__ float sine[kMaxRopeHeadDim / 2];
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t token = blockIdx.x;
  const int half = call.head_dim / 2;
  Turn turn = {nullptr, nullptr};
  if (call.positions != nullptr) {
    const float position = static_cast<float>(call.positions[token]);
    for (int i = threadIdx.x; i < half; i += kThreads)
      sincosf(position * call.inverse_frequency[i], &sine[i], &cosine[i]);
    turn = {cosine, sine};
    __syncthreads();
  }
  const int head_vectors = half / kWidth;
  float low[kWidth];
  float high[kWidth];
  if (call.q != nullptr) {
    const T* q = static_cast<const T*>(call.q) + token * call.q_stride;
    T* y = static_cast<T*>(call.y) + token * call.y_stride;
    for (int i = threadIdx.x; i < call.heads * head_vectors; i += kThreads) {
      const int head = i / head_vectors * call.head_dim;
      const int at = i % head_vectors * kWidth;
      read_pair<T, kWidth>(low, high, q + head, at, half, turn);
      device::store_floats<kWidth>(y + head + at, low);
      device::store_floats<kWidth>(y + head + half + at, high);
    }
  }
  const int64_t slot = call.slots != nullptr ? call.slots[token] : -1;
  if (slot < 0) return;
  const int64_t block = slot / call.tokens_per_block;
  const int64_t offset = slot - block * call.tokens_per_block;
  const int kv_vectors = call.kv_heads * head_vectors;
  for (int i = threadIdx.x; i < 2 * kv_vectors; i += kThreads) {
    const bool is_v = i >= kv_vectors;
    const int index = is_v ? i - kv_vectors : i;
    const int head = index / head_vectors;
    const int at = index % head_vectors * kWidth;
    const T* from = is_v ? static_cast<const T*>(call.v) + token * call.v_stride
                         : static_cast<const T*>(call.k) + token * call.k_stride;
    read_pair<T, kWidth>(low, high, from + head * call.head_dim, at, half,
                         is_v ? Turn{nullptr, nullptr} : turn);
    const float* scale = is_v ? call.v_scale : call.k_scale;
    const float inverse = scale != nullptr ? device::inverse_scale(scale) : 1.0f;
    Cache* to = static_cast<Cache*>(is_v ? call.v_cache : call.k_cache) +
                ((block * call.kv_heads + head) * call.tokens_per_block + offset) * call.head_dim;
    device::store_as<T, kWidth>(to + at, low, inverse);
    device::store_as<T, kWidth>(to + half + at, high, inverse);
  }
}

}  // namespace

void launch_rope_kv_append(const RopeCall& call, const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(call.tokens));
  dispatch_activation(call.activation, [&]<typename T>(T) {
    dispatch_output<T>(call.cache, [&]<typename Cache>(Cache) {
      dispatch_width(call.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        launch(where, grid, rope_kv_append_kernel<T, Cache, kWidth>, call);
      });
    });
  });
}

}  // namespace octavo::cuda
