// Context attention for any device from 8.0 on: tiles of 128 query rows against 64 keys.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/attention/attention.h"
#include "backend/cuda/device/attention.cuh"
#include "backend/cuda/device/context_tasks.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/vector.cuh"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kRows = kWarps * 16;  // query rows of a tile
constexpr int kKeys = 64;           // keys of a tile

// A tile of keys or values in 16-bit elements; the 16-byte pieces of a row are permuted by the row,
// so that eight rows of one column of pieces lie in different banks.
template <int kHeadDim>
struct Tile {
  uint4 pieces[kKeys][kHeadDim / 8];
};
template <int kHeadDim>
__device__ __forceinline__ int place(int row, int piece) {
  return piece ^ (row % 8);
}

template <int kHeadDim>
struct Shared {
  Tile<kHeadDim> k[2];
  Tile<kHeadDim> v[2];
};

__device__ __forceinline__ void store_pair(const AttentionCall& call, int64_t at, float low,
                                           float high) {
  if (call.output_scale != nullptr) {
    const float inverse = device::inverse_scale(call.output_scale);
    const __nv_bfloat162 rounded = __floats2bfloat162_rn(low, high);
    auto* codes = static_cast<device::e4m3_t*>(call.y) + at;
    codes[0] = device::quantize_e4m3(device::to_float(rounded.x), inverse);
    codes[1] = device::quantize_e4m3(device::to_float(rounded.y), inverse);
  } else {
    *reinterpret_cast<__nv_bfloat162*>(static_cast<__nv_bfloat16*>(call.y) + at) =
        __floats2bfloat162_rn(low, high);
  }
}

__device__ void zero_unowned_rows(const AttentionCall& call) {
  const int warp = (blockIdx.y * gridDim.x + blockIdx.x) * kWarps + threadIdx.x / 32;
  const int columns = call.heads * call.head_dim;
  device::for_unowned_rows(call.query_start, call.query_length, call.sequences, call.tokens, warp,
                           gridDim.x * gridDim.y * kWarps, [&](int64_t row) {
                             for (int at = threadIdx.x % 32 * 2; at < columns; at += 64)
                               store_pair(call, row * call.y_stride + at, 0.0f, 0.0f);
                           });
}

// Brings tiles of keys and values into shared memory as 16-bit elements: bfloat16 by asynchronous
// copies, E4M3 through registers, where the codes become halves.
template <typename Cache, int kHeadDim>
class TileLoader {
 public:
  static constexpr bool kCodes = sizeof(Cache) == 1;
  static constexpr int kRowPieces = kHeadDim * sizeof(Cache) / 16;
  static constexpr int kCount = kKeys * kRowPieces / kThreads;  // pieces of a thread
  static_assert(kCount * kThreads == kKeys * kRowPieces);

  __device__ TileLoader(const AttentionCall& call, const int32_t* blocks, int kv_head, int end,
                        Shared<kHeadDim>& shared)
      : call_(call), blocks_(blocks), kv_head_(kv_head), end_(end), shared_(shared) {}

  // Starts bringing the tile of keys first … first + kKeys - 1 into `buffer`.
  __device__ __forceinline__ void fetch(int first, int buffer) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int index = i * kThreads + threadIdx.x;
      const int row = index / kRowPieces;
      const int piece = index % kRowPieces;
      const bool present = first + row < end_;
      const int64_t at = present ? offset(first + row) + piece * 16 : 0;
      if constexpr (kCodes) {
        k_[i] = present ? *reinterpret_cast<const uint4*>(call_.k_cache + at) : uint4{};
        v_[i] = present ? *reinterpret_cast<const uint4*>(call_.v_cache + at) : uint4{};
      } else {
        const int to = place<kHeadDim>(row, piece);
        device::copy_async_16(&shared_.k[buffer].pieces[row][to], call_.k_cache + at, present);
        device::copy_async_16(&shared_.v[buffer].pieces[row][to], call_.v_cache + at, present);
      }
    }
    if constexpr (!kCodes) device::commit_copies();
  }

  // Ends what fetch started, for this thread.
  __device__ __forceinline__ void finish(int buffer) {
    if constexpr (kCodes) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int index = i * kThreads + threadIdx.x;
        store(shared_.k[buffer], index, k_[i]);
        store(shared_.v[buffer], index, v_[i]);
      }
    } else {
      device::wait_for_copies<0>();
    }
  }

 private:
  __device__ __forceinline__ int64_t offset(int token) const {
    const int64_t block = blocks_[token / call_.tokens_per_block];
    return ((block * call_.kv_heads + kv_head_) * call_.tokens_per_block +
            token % call_.tokens_per_block) *
           (kHeadDim * sizeof(Cache));
  }

  __device__ __forceinline__ static void store(Tile<kHeadDim>& tile, int index,
                                               const uint4& codes) {
    const int row = index / kRowPieces;
    const int piece = index % kRowPieces * 2;
    tile.pieces[row][place<kHeadDim>(row, piece)] =
        uint4{device::decode_low_half2(codes.x), device::decode_high_half2(codes.x),
              device::decode_low_half2(codes.y), device::decode_high_half2(codes.y)};
    tile.pieces[row][place<kHeadDim>(row, piece + 1)] =
        uint4{device::decode_low_half2(codes.z), device::decode_high_half2(codes.z),
              device::decode_low_half2(codes.w), device::decode_high_half2(codes.w)};
  }

  const AttentionCall& call_;
  const int32_t* blocks_;
  int kv_head_;
  int end_;
  Shared<kHeadDim>& shared_;
  uint4 k_[kCodes ? kCount : 1];
  uint4 v_[kCodes ? kCount : 1];
};

// Sixteen query rows of one warp: operands, running softmax and output.
template <typename Cache, int kHeadDim>
struct WarpRows {
  using Product = device::Product<Cache>;
  uint32_t q[kHeadDim / 16][4];
  float scale[2];
  int position[2];  // of rows lane / 4 and lane / 4 + 8
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0.0f, 0.0f};
  float output[kHeadDim / 8][4] = {};

  // `rows` of the sequence are queries from `row` on.
  __device__ __forceinline__ void load(const AttentionCall& call, int64_t token, int row, int rows,
                                       int head, int first_position) {
    const int lane = threadIdx.x % 32;
    const float k_scale = call.k_scale != nullptr ? *call.k_scale : 1.0f;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own = row + lane / 4 + half * 8;
      position[half] = first_position + own;
      const auto* from =
          reinterpret_cast<const uint32_t*>(static_cast<const __nv_bfloat16*>(call.q) +
                                            (token + own) * call.q_stride + head * kHeadDim);
      float largest_q = 0.0f;
#pragma unroll
      for (int i = 0; i < kHeadDim / 8; ++i) {
        const uint32_t pair = own < rows ? from[i * 4 + lane % 4] : 0u;
        q[i / 2][i % 2 * 2 + half] = pair;
        largest_q = fmaxf(largest_q, fmaxf(fabsf(low(pair)), fabsf(high(pair))));
      }
      float factor = 1.0f;
      if constexpr (Product::kHalf) {
        factor = device::normalizer(device::quad_max(largest_q));
#pragma unroll
        for (int i = 0; i < kHeadDim / 8; ++i) {
          uint32_t& pair = q[i / 2][i % 2 * 2 + half];
          pair = Product::pack(low(pair) * factor, high(pair) * factor);
        }
      }
      scale[half] = call.softmax_scale * device::kLog2E * k_scale / factor;
    }
  }

  __device__ __forceinline__ void score(float (&logits)[kKeys / 8][4],
                                        const Tile<kHeadDim>& k) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int pair = 0; pair < kKeys / 16; ++pair) {
      const int row = pair * 16 + lane / 16 * 8 + lane % 8;
#pragma unroll
      for (int i = 0; i < kHeadDim / 16; ++i) {
        uint32_t b[4];
        const int piece = place<kHeadDim>(row, i * 2 + lane / 8 % 2);
        device::load_tiles(b, device::shared_address(&k.pieces[row][piece]));
        Product::mma(logits[pair * 2], q[i], b[0], b[1]);
        Product::mma(logits[pair * 2 + 1], q[i], b[2], b[3]);
      }
    }
  }

  // `masked`: some key of the tile is hidden from some row of the warp.
  __device__ __forceinline__ void softmax(float (&logits)[kKeys / 8][4], int first_key,
                                          int64_t window, bool masked) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const device::KeyRange keys = device::visible_keys(position[half], window);
      float most = largest[half];
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        float& logit = logits[i / 2][half * 2 + i % 2];
        logit *= scale[half];
        const int key = first_key + i / 2 * 8 + lane % 4 * 2 + i % 2;
        if (masked && (key < keys.first || key >= keys.end)) logit = -INFINITY;
        most = fmaxf(most, logit);
      }
      most = device::quad_max(most);
      const float factor = device::weight_of(largest[half], most);
      largest[half] = most;
      total[half] *= factor;
#pragma unroll
      for (int tile = 0; tile < kHeadDim / 8; ++tile) {
        output[tile][half * 2] *= factor;
        output[tile][half * 2 + 1] *= factor;
      }
      const float base = most == -INFINITY ? 0.0f : most;
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        float& weight = logits[i / 2][half * 2 + i % 2];
        weight = device::exp2_approximate(weight - base);
        total[half] += weight;
      }
    }
  }

  __device__ __forceinline__ void accumulate(const float (&weights)[kKeys / 8][4],
                                             const Tile<kHeadDim>& v) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 0; step < kKeys / 16; ++step) {
      const float(&w0)[4] = weights[step * 2];
      const float(&w1)[4] = weights[step * 2 + 1];
      const uint32_t a[4] = {Product::pack(w0[0], w0[1]), Product::pack(w0[2], w0[3]),
                             Product::pack(w1[0], w1[1]), Product::pack(w1[2], w1[3])};
      const int row = step * 16 + lane % 16;
#pragma unroll
      for (int pair = 0; pair < kHeadDim / 16; ++pair) {
        uint32_t b[4];
        const int piece = place<kHeadDim>(row, pair * 2 + lane / 16);
        device::load_tiles_transposed(b, device::shared_address(&v.pieces[row][piece]));
        Product::mma(output[pair * 2], a, b[0], b[1]);
        Product::mma(output[pair * 2 + 1], a, b[2], b[3]);
      }
    }
  }

  __device__ __forceinline__ void store(const AttentionCall& call, int64_t token, int row, int rows,
                                        int head) {
    const int lane = threadIdx.x % 32;
    const float v_scale = call.v_scale != nullptr ? *call.v_scale : 1.0f;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own = row + lane / 4 + half * 8;
      const float factor = v_scale / device::quad_sum(total[half]);
      if (own >= rows) continue;
      const int64_t y = (token + own) * call.y_stride + head * kHeadDim + lane % 4 * 2;
#pragma unroll
      for (int tile = 0; tile < kHeadDim / 8; ++tile)
        store_pair(call, y + tile * 8, output[tile][half * 2] * factor,
                   output[tile][half * 2 + 1] * factor);
    }
  }

 private:
  __device__ static float low(uint32_t pair) { return __uint_as_float(pair << 16); }
  __device__ static float high(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }
};

template <typename Cache, int kHeadDim>
__global__ void __launch_bounds__(kThreads)
    attention_context_portable_kernel(const __grid_constant__ AttentionCall call,
                                      QueryRange range) {
  extern __shared__ uint4 storage[];
  auto& shared = *reinterpret_cast<Shared<kHeadDim>*>(storage);
  device::launch_dependents();
  device::wait_for_dependencies();
  zero_unowned_rows(call);
  const device::RowTiles<kRows> tiles(call.query_length, call.kv_length, call.sequences,
                                      range.least, range.most);
  if (static_cast<int>(blockIdx.x) >= tiles.count()) return;
  const auto task = tiles.find(blockIdx.x);
  const int head = blockIdx.y;
  const int rows = call.query_length[task.sequence];
  const int first_position = call.kv_length[task.sequence] - rows;
  const int64_t token = call.query_start[task.sequence];
  const int last_row = min(task.first_row + kRows, rows) - 1;
  const int end = first_position + last_row + 1;
  const int first =
      device::visible_keys(first_position + task.first_row, call.window).first / kKeys * kKeys;

  TileLoader<Cache, kHeadDim> loader(call, call.block_table + task.sequence * call.table_stride,
                                     head / (call.heads / call.kv_heads), end, shared);
  loader.fetch(first, 0);
  WarpRows<Cache, kHeadDim> own;
  const int warp_row = task.first_row + threadIdx.x / 32 * 16;
  own.load(call, token, warp_row, rows, head, first_position);
  const int warp_first = first_position + warp_row;
  int buffer = 0;
#pragma unroll 1
  for (int key = first; key < end; key += kKeys, buffer ^= 1) {
    loader.finish(buffer);
    __syncthreads();
    if (key + kKeys < end) loader.fetch(key + kKeys, buffer ^ 1);
    if (key > warp_first + 15) continue;  // all later than the warp's last row
    float logits[kKeys / 8][4] = {};
    own.score(logits, shared.k[buffer]);
    const bool masked = key + kKeys > warp_first + 1 || call.window > 0;
    own.softmax(logits, key, call.window, masked);
    own.accumulate(logits, shared.v[buffer]);
  }
  own.store(call, token, warp_row, rows, head);
}

template <typename Cache, int kHeadDim>
void launch_portable(const AttentionCall& call, const QueryRange& range, const Launch& where) {
  const auto kernel = attention_context_portable_kernel<Cache, kHeadDim>;
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(blocks_for(call.tokens, kRows) + call.sequences),
                     static_cast<unsigned>(call.heads));
  grid.shared_bytes = sizeof(Shared<kHeadDim>);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, call, range);
}

}  // namespace

void launch_attention_context_portable(const AttentionCall& call, const QueryRange& range,
                                       const Launch& where) {
  const bool codes = call.cache == DType::kE4M3;
  if (call.head_dim == 128) {
    if (codes) return launch_portable<device::e4m3_t, 128>(call, range, where);
    return launch_portable<__nv_bfloat16, 128>(call, range, where);
  }
  if (codes) return launch_portable<device::e4m3_t, 64>(call, range, where);
  launch_portable<__nv_bfloat16, 64>(call, range, where);
}

}  // namespace octavo::cuda
