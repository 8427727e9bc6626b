// Context attention on Hopper: 128 query rows of one head against tiles of 128 keys of the cache.
// SPDX-License-Identifier: Apache-2.0
//
// Two warpgroups compute, 64 rows each; a third brings keys and values into shared memory in the
// swizzle of the tensor cores, where E4M3 codes become halves. A CTA stays on its multiprocessor
// and works through its share of the tiles.
#include <algorithm>
#include <cfloat>

#include "backend/cuda/attention/sm90_context_tiles.h"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/vector.cuh"

namespace octavo::cuda {
namespace {

using context::arrive_warp;
using context::kConsumers;
using context::kGroup;
using context::kKeys;
using context::kRows;
using context::kTasks;
using context::kThreads;
using context::Shared;
using context::Task;

// Eight bfloat16 values of y from element `at` on.
__device__ __forceinline__ void store_words(const AttentionCall& call, int64_t at,
                                            const uint32_t (&words)[4], float inverse) {
  if (call.output_scale != nullptr) {
    float values[8];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      values[2 * i] = __uint_as_float(words[i] << 16);
      values[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000u);
    }
    device::store_codes<float, 8>(static_cast<device::e4m3_t*>(call.y) + at, values, inverse);
  } else {
    *reinterpret_cast<uint4*>(static_cast<__nv_bfloat16*>(call.y) + at) =
        uint4{words[0], words[1], words[2], words[3]};
  }
}

// Sixteen rows of each warp of a consumer; a thread has rows lane / 4 and lane / 4 + 8 of them.
template <typename C>
class Consumer {
 public:
  __device__ __forceinline__ Consumer(const AttentionCall& call, Shared<C>& shared)
      : call_(call),
        shared_(shared),
        group_(__shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x) / kGroup - 1, 0)),
        row_(group_ * 64 + threadIdx.x % kGroup / 32 * 16 + threadIdx.x % 32 / 4),
        score_scale_(call.softmax_scale * device::kLog2E *
                     (call.k_scale != nullptr ? *call.k_scale : 1.0f)),
        v_scale_(call.v_scale != nullptr ? *call.v_scale : 1.0f),
        inverse_(call.output_scale != nullptr ? device::inverse_scale(call.output_scale) : 1.0f) {
    if (group_ == 1) device::arrive_named(kTurn, 2 * kGroup);  // group 0 goes first
  }

  __device__ void run() {
    Queries queries;
    Task task = next_task();
    load_queries(task, queries);
    while (task.rows > 0) {
      store_queries(queries);
      attend(task);
      // The last product still runs while the next queries come.
      const Task next = next_task();
      load_queries(next, queries);
      device::wgmma_wait_until<0>();
      device::pin(output_);
      release_values();
      store(task);
      task = next;
    }
    if (group_ == 0) take_turn();  // the one that group 1 passed last
  }

 private:
  static constexpr int kTurn = 1;                      // named barriers kTurn and kTurn + 1
  static constexpr int kGroupSync = 3;                 // and kGroupSync + 1
  static constexpr int kPieces = C::kHeadDim / 8;      // of a query row
  static constexpr int kQueryRows = kGroup / kPieces;  // that the group loads at once
  using Queries = uint4[64 / kQueryRows];
  using Weights = uint32_t[kKeys / 16][4];

  __device__ __forceinline__ Task next_task() {
    device::wait_barrier(device::shared_address(&shared_.task_full[tasks_.slot]), tasks_.parity);
    const Task task = shared_.tasks[tasks_.slot];
    arrive_warp(shared_.task_empty[tasks_.slot]);
    tasks_.advance(kTasks);
    return task;
  }

  // Row of the tile that the thread's first piece belongs to.
  __device__ __forceinline__ int query_row() const {
    return group_ * 64 + threadIdx.x % kGroup / kPieces;
  }

  __device__ __forceinline__ void load_queries(const Task& task, Queries& queries) const {
    const auto* q = static_cast<const __nv_bfloat16*>(call_.q) + task.token * call_.q_stride +
                    task.head * C::kHeadDim + threadIdx.x % kPieces * 8;
#pragma unroll
    for (int i = 0; i < 64 / kQueryRows; ++i) {
      const int row = query_row() + i * kQueryRows;
      queries[i] =
          row < task.rows ? *reinterpret_cast<const uint4*>(q + row * call_.q_stride) : uint4{};
    }
  }

  // The group's own rows, which it alone reads. Halves of a row are brought below 2 by a power of
  // two, which its scale takes back.
  __device__ __forceinline__ void store_queries(Queries& queries) {
    device::wait_named(kGroupSync + group_, kGroup);
#pragma unroll
    for (int i = 0; i < 64 / kQueryRows; ++i) {
      const float factor = C::kCodes ? row_normalizer(queries[i]) : 1.0f;
      const int row = query_row() + i * kQueryRows;
      const int piece = threadIdx.x % kPieces;
      if constexpr (C::kFp8Scores) {
        reinterpret_cast<uint2*>(&shared_.q.at(row, piece / 2))[piece % 2] =
            to_codes(queries[i], factor);
      } else {
        if constexpr (C::kCodes) to_halves(queries[i], factor);
        shared_.q.at(row, piece) = queries[i];
      }
      // Not zero, which would make NaN of the -inf of what is hidden.
      if (piece == 0) shared_.q_scale[row] = fmaxf(score_scale_ / factor, FLT_MIN);
    }
    device::fence_async_proxy();
    device::wait_named(kGroupSync + group_, kGroup);
  }

  __device__ static float low(uint32_t pair) { return __uint_as_float(pair << 16); }
  __device__ static float high(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }

  // For halves the row's largest comes into [1, 2), for codes, of which 448 is the largest, into
  // [128, 256).
  __device__ __forceinline__ static float row_normalizer(const uint4& piece) {
    float largest = 0.0f;
#pragma unroll
    for (const uint32_t pair : {piece.x, piece.y, piece.z, piece.w})
      largest = fmaxf(largest, fmaxf(fabsf(low(pair)), fabsf(high(pair))));
#pragma unroll
    for (int offset = 1; offset < kPieces; offset *= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, offset));
    return device::normalizer(largest) * (C::kFp8Scores ? 128.0f : 1.0f);
  }

  __device__ __forceinline__ static void to_halves(uint4& piece, float factor) {
    uint32_t(&pairs)[4] = reinterpret_cast<uint32_t(&)[4]>(piece);
#pragma unroll
    for (uint32_t& pair : pairs) pair = C::Product::pack(low(pair) * factor, high(pair) * factor);
  }

  __device__ __forceinline__ static uint2 to_codes(const uint4& piece, float factor) {
    const float values[8] = {low(piece.x), high(piece.x), low(piece.y), high(piece.y),
                             low(piece.z), high(piece.z), low(piece.w), high(piece.w)};
    return {device::encode_e4m3x4(values, factor), device::encode_e4m3x4(values + 4, factor)};
  }

  // All but the end of the last product. The products of one tile overlap the softmax of the next.
  __device__ __forceinline__ void attend(const Task& task) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      scale_[half] = shared_.q_scale[row_ + half * 8];
      largest_[half] = -INFINITY;
      total_[half] = 0.0f;
    }
#pragma unroll
    for (auto& four : output_) {
#pragma unroll
      for (float& value : four) value = 0.0f;
    }
    float logits[kKeys / 8][4];
    Weights weights;
    float factor[2];
    take_turn();
    score(logits);
    device::wgmma_commit();
    pass_turn();
    device::wgmma_wait_until<0>();
    device::pin(logits);
    release_keys();
    softmax(logits, task, 0, factor);
    pack(logits, weights);
#pragma unroll 1
    for (int tile = 1; tile < task.tiles; ++tile) {
      take_turn();
      score(logits);
      device::wgmma_commit();
      weigh(weights);
      device::wgmma_commit();
      pass_turn();
      device::wgmma_wait_until<1>();
      device::pin(logits);
      release_keys();
      softmax(logits, task, tile, factor);
      // The compiler would put the wait before all of the softmax otherwise, and nothing would
      // overlap.
      device::hold_until(total_[0] + total_[1]);
      device::wgmma_wait_until<0>();
      device::pin(output_);
      if (shrinks(factor)) rescale(factor);
      release_values();
      pack(logits, weights);
    }
    weigh(weights);
    device::wgmma_commit();
  }

  // The groups issue their products in turn: one computes weights while the other multiplies.
  __device__ __forceinline__ void take_turn() { device::wait_named(kTurn + group_, 2 * kGroup); }
  __device__ __forceinline__ void pass_turn() {
    device::arrive_named(kTurn + 1 - group_, 2 * kGroup);
  }

  __device__ __forceinline__ void score(float (&logits)[kKeys / 8][4]) {
    device::wait_barrier(device::shared_address(&shared_.full[0][keys_.slot]), keys_.parity);
    const uint64_t q = device::swizzled_descriptor(
        device::shared_address(&shared_.q) + group_ * (64 * 128), C::QueryTile::kPartBytes);
    const uint64_t k = device::swizzled_descriptor(device::shared_address(&shared_.k[keys_.slot]),
                                                   C::KeyTile::kPartBytes);
    device::wgmma_fence();
    if constexpr (C::kFp8Scores) {
#pragma unroll
      for (int i = 0; i < C::kHeadDim / 32; ++i)
        device::wgmma_e4m3_scores(logits, device::advance(q, i * 32), device::advance(k, i * 32),
                                  /*add=*/i > 0);
    } else {
#pragma unroll
      for (int i = 0; i < C::kHeadDim / 16; ++i) {
        device::Wgmma<typename C::Element>::scores(
            logits, device::advance(q, i / 4 * C::QueryTile::kPartBytes + i % 4 * 32),
            device::advance(k, i / 4 * C::KeyTile::kPartBytes + i % 4 * 32), /*add=*/i > 0);
      }
    }
  }

  __device__ __forceinline__ void release_keys() {
    arrive_warp(shared_.empty[0][keys_.slot]);
    keys_.advance(C::kKeyStages);
  }

  __device__ __forceinline__ void weigh(const Weights& weights) {
    device::wait_barrier(device::shared_address(&shared_.full[1][values_.slot]), values_.parity);
    const uint64_t v = device::swizzled_descriptor(device::shared_address(&shared_.v[values_.slot]),
                                                   C::Tile::kPartBytes);
    device::wgmma_fence();
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step)
      device::Wgmma<typename C::Element>::weigh(output_, weights[step],
                                                device::advance(v, step * 16 * 128));
  }

  __device__ __forceinline__ void release_values() {
    arrive_warp(shared_.empty[1][values_.slot]);
    values_.advance(C::kStages);
  }

  // `position` is of the thread's first row. Without a window one comparison with a constant a key.
  __device__ __forceinline__ void hide(float (&logits)[kKeys / 8][4], int first_key,
                                       int position) const {
    const int at = first_key + threadIdx.x % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int end = position + half * 8 + 1 - at;
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        if (i / 2 * 8 + i % 2 >= end) logits[i / 2][half * 2 + i % 2] = -INFINITY;
      }
    }
    if (call_.window == 0) return;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int first = device::visible_keys(position + half * 8, call_.window).first - at;
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        if (i / 2 * 8 + i % 2 < first) logits[i / 2][half * 2 + i % 2] = -INFINITY;
      }
    }
  }

  // Logits become weights relative to the largest so far, by which what was summed before shrinks.
  __device__ __forceinline__ void softmax(float (&logits)[kKeys / 8][4], const Task& task, int tile,
                                          float (&factor)[2]) {
    const int first_key = task.first_key + tile * kKeys;
    if (first_key + kKeys > task.first_position + group_ * 64 + 1 || call_.window > 0)
      hide(logits, first_key, task.first_position + row_);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = largest_[half];
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) most = fmaxf(most, logits[i / 2][half * 2 + i % 2]);
      most = device::quad_max(most);
      const float base = most == -INFINITY ? 0.0f : most * scale_[half];
      factor[half] = device::exp2_approximate(fmaf(largest_[half], scale_[half], -base));
      largest_[half] = most;
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        float& weight = logits[i / 2][half * 2 + i % 2];
        weight = device::exp2_approximate(fmaf(weight, scale_[half], -base));
        sum += weight;
      }
      total_[half] = fmaf(total_[half], factor[half], sum);
    }
  }

  // Whether a row of the warp needs rescale; true also where a sum is not finite.
  __device__ __forceinline__ bool shrinks(const float (&factor)[2]) const {
    return __any_sync(
        0xFFFFFFFFu, factor[0] != 1.0f || factor[1] != 1.0f || !(total_[0] + total_[1] < INFINITY));
  }
  __device__ __forceinline__ void rescale(const float (&factor)[2]) {
#pragma unroll
    for (auto& four : output_) {
#pragma unroll
      for (int i = 0; i < 4; ++i) four[i] *= factor[i / 2];
    }
  }

  __device__ __forceinline__ static void pack(const float (&logits)[kKeys / 8][4],
                                              Weights& weights) {
#pragma unroll
    for (int i = 0; i < kKeys / 8; ++i) {
      weights[i / 2][i % 2 * 2] = C::Product::pack(logits[i][0], logits[i][1]);
      weights[i / 2][i % 2 * 2 + 1] = C::Product::pack(logits[i][2], logits[i][3]);
    }
  }

  // Four lanes exchange what they have of 32 columns, so that each stores 8 in a row.
  __device__ __forceinline__ void store(const Task& task) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_ + half * 8;
      const float factor = v_scale_ / device::quad_sum(total_[half]);
      const int64_t y =
          (task.token + row) * call_.y_stride + task.head * C::kHeadDim + threadIdx.x % 4 * 8;
#pragma unroll
      for (int quad = 0; quad < C::kHeadDim / 32; ++quad) {
        uint32_t words[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float(&four)[4] = output_[quad * 4 + i];
          words[i] = device::Product<__nv_bfloat16>::pack(four[half * 2] * factor,
                                                          four[half * 2 + 1] * factor);
        }
        device::transpose_quad(words);
        if (row < task.rows) store_words(call_, y + quad * 32, words, inverse_);
      }
    }
  }

  const AttentionCall& call_;
  Shared<C>& shared_;
  const int group_;
  const int row_;  // of the tile: the thread's first
  const float score_scale_, v_scale_, inverse_;
  float scale_[2], largest_[2], total_[2];
  float output_[C::kHeadDim / 8][4];
  device::RingPosition keys_, values_, tasks_;
};

__device__ void zero_unowned_rows(const AttentionCall& call) {
  constexpr int kWarps = kGroup * kConsumers / 32;
  const int warp = blockIdx.x * kWarps + threadIdx.x / 32 - kGroup / 32;
  const int columns = call.heads * call.head_dim;
  device::for_unowned_rows(call.query_start, call.query_length, call.sequences, call.tokens, warp,
                           gridDim.x * kWarps, [&](int64_t row) {
                             const uint32_t zeros[4] = {};
                             for (int at = threadIdx.x % 32 * 8; at < columns; at += 256)
                               store_words(call, row * call.y_stride + at, zeros, 1.0f);
                           });
}

template <typename C>
__global__ void __launch_bounds__(kThreads, 1)
    attention_context_kernel(const __grid_constant__ AttentionCall call, QueryRange range) {
  extern __shared__ __align__(1024) uint8_t storage[];
  auto& shared = *reinterpret_cast<Shared<C>*>(storage);
  device::launch_dependents();
  context::init_barriers(shared);
  device::wait_for_dependencies();
  if (threadIdx.x < kGroup) {
    device::give_up_registers<C::kProducerRegisters>();
    context::Producer<C>(call, shared).run(range);
  } else {
    device::take_registers<C::kConsumerRegisters>();
    Consumer<C>(call, shared).run();
    zero_unowned_rows(call);
  }
}

template <typename C>
void launch_context(const AttentionCall& call, const QueryRange& range, const Launch& where) {
  const auto kernel = attention_context_kernel<C>;
  if (call.tokens == 0) return;
  const int64_t tiles = (call.tokens + int64_t{kRows - 1} * call.sequences) / kRows;  // at most
  Grid grid;
  grid.threads = kThreads;
  grid.blocks =
      dim3(static_cast<unsigned>(std::clamp<int64_t>(tiles * call.heads, 1, multiprocessors())));
  grid.shared_bytes = sizeof(Shared<C>);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, call, range);
}

}  // namespace

void launch_attention_context(const AttentionCall& call, const QueryRange& range,
                              const Launch& where) {
  const bool codes = call.cache == DType::kE4M3;
  if (call.head_dim == 128) {
    if (codes) return launch_context<context::Config<device::e4m3_t, 128>>(call, range, where);
    return launch_context<context::Config<__nv_bfloat16, 128>>(call, range, where);
  }
  if (codes) return launch_context<context::Config<device::e4m3_t, 64>>(call, range, where);
  launch_context<context::Config<__nv_bfloat16, 64>>(call, range, where);
}

void launch_attention_context_fp8(const AttentionCall& call, const QueryRange& range,
                                  const Launch& where) {
  if (call.head_dim == 128)
    return launch_context<context::Config<device::e4m3_t, 128, true>>(call, range, where);
  launch_context<context::Config<device::e4m3_t, 64, true>>(call, range, where);
}

}  // namespace octavo::cuda
