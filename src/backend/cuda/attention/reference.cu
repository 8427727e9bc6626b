// Attention, the plain version: one block a query row and head, two passes over the keys in double.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/attention/attention.h"
#include "backend/cuda/device/attention.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;

// The sequence that owns a row, or -1.
__device__ int owner_of(const AttentionCall& call, int64_t row) {
  for (int s = 0; s < call.sequences; ++s) {
    const int64_t start = call.query_start[s];
    if (row >= start && row < start + call.query_length[s]) return s;
  }
  return -1;
}

template <typename Cache>
struct Keys {
  const AttentionCall& call;
  const int32_t* blocks;
  int kv_head;

  __device__ int64_t offset(int token) const {
    const int64_t block = blocks[token / call.tokens_per_block];
    return ((block * call.kv_heads + kv_head) * call.tokens_per_block +
            token % call.tokens_per_block) *
           call.head_dim;
  }
  __device__ float k(int token, int column) const {
    return device::to_float(reinterpret_cast<const Cache*>(call.k_cache)[offset(token) + column]);
  }
  __device__ float v(int token, int column) const {
    return device::to_float(reinterpret_cast<const Cache*>(call.v_cache)[offset(token) + column]);
  }
};

// Each warp takes every fourth key; lanes share its columns.
template <typename T, typename Cache>
__device__ double logit_of(const T* q, const Keys<Cache>& keys, int token, float scale) {
  double dot = 0.0;
  for (int column = threadIdx.x % 32; column < keys.call.head_dim; column += 32)
    dot += static_cast<double>(device::to_float(q[column])) * keys.k(token, column);
  return device::warp_sum(dot) * scale;
}

template <typename T, typename Cache, typename Out>
__global__ void __launch_bounds__(kThreads) attention_reference_kernel(AttentionCall call) {
  __shared__ double scratch[kThreads / 32];
  __shared__ double weights[kThreads];
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y;
  const float inverse =
      call.output_scale != nullptr ? device::inverse_scale(call.output_scale) : 1.0f;
  Out* y = static_cast<Out*>(call.y) + row * call.y_stride + head * call.head_dim;
  const int sequence = owner_of(call, row);
  if (sequence < 0) {
    for (int i = threadIdx.x; i < call.head_dim; i += kThreads)
      device::store_as<T, 1>(y + i, {0.0f}, inverse);
    return;
  }
  const T* q = static_cast<const T*>(call.q) + row * call.q_stride + head * call.head_dim;
  const Keys<Cache> keys = {call, call.block_table + sequence * call.table_stride,
                            head / (call.heads / call.kv_heads)};
  const float scale = call.softmax_scale * (call.k_scale != nullptr ? *call.k_scale : 1.0f);
  const int position = call.kv_length[sequence] - call.query_length[sequence] +
                       static_cast<int>(row - call.query_start[sequence]);
  const device::KeyRange range = device::visible_keys(position, call.window);

  const int warp = threadIdx.x / 32;
  double largest = -INFINITY;
  for (int token = range.first + warp; token < range.end; token += kThreads / 32)
    largest = fmax(largest, logit_of(q, keys, token, scale));
  scratch[warp] = largest;
  __syncthreads();
  for (int i = 0; i < kThreads / 32; ++i) largest = fmax(largest, scratch[i]);
  __syncthreads();

  constexpr int kColumns = 4;  // of a thread: head_dim ≤ 512
  double sums[kColumns] = {};
  double total = 0.0;
  for (int base = range.first; base < range.end; base += kThreads) {
    const int count = min(kThreads, range.end - base);
    for (int i = warp; i < count; i += kThreads / 32) {
      const double logit = logit_of(q, keys, base + i, scale);
      if (threadIdx.x % 32 == 0) weights[i] = exp(logit - largest);
    }
    __syncthreads();
    for (int i = 0; i < count; ++i) {
      total += weights[i];
      for (int j = 0; j < kColumns; ++j) {
        const int column = j * kThreads + threadIdx.x;
        if (column < call.head_dim) sums[j] += weights[i] * keys.v(base + i, column);
      }
    }
    __syncthreads();
  }
  const double factor = (call.v_scale != nullptr ? *call.v_scale : 1.0f) / total;
  for (int j = 0; j < kColumns; ++j) {
    const int column = j * kThreads + threadIdx.x;
    if (column < call.head_dim)
      device::store_as<T, 1>(y + column, {static_cast<float>(sums[j] * factor)}, inverse);
  }
}

template <typename T, typename Cache>
void launch_reference(const AttentionCall& call, const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(call.heads));
  dispatch_output<T>(call.output, [&]<typename Out>(Out) {
    launch(where, grid, attention_reference_kernel<T, Cache, Out>, call);
  });
}

}  // namespace

void launch_attention_reference(const AttentionCall& call, const Launch& where) {
  dispatch_activation(call.activation, [&]<typename T>(T) {
    if (call.cache == DType::kE4M3) return launch_reference<T, device::e4m3_t>(call, where);
    if (call.cache == DType::kBF16) return launch_reference<T, __nv_bfloat16>(call, where);
    launch_reference<T, float>(call, where);
  });
}

}  // namespace octavo::cuda
