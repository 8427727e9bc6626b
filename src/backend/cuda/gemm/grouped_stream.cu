// Linear of experts for few rows, alone and with SwiGLU behind it: weights stream from memory into
// the tensor cores' registers.
// SPDX-License-Identifier: Apache-2.0
//
// A block makes tiles of 16 weight rows × a few rows of one expert; its warps share K. The product
// does not care in which order it meets the elements of K, as long as both operands agree: so each
// lane loads 16 bytes of a row as they lie and gives them out as the fragments of several products.
// Codes become halves, which hold them and their products' sums exactly enough: everything is added
// in float32.
#include <algorithm>

#include "backend/cuda/device/expert_rows.cuh"
#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/mma.cuh"
#include "backend/cuda/device/swiglu.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/gemm/grouped_linear.h"
#include "backend/cuda/gemm/grouped_scale.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kBatch = 4;                    // loads of 64 bytes a row that a warp has in flight
constexpr int kPitch = kStreamRows + 4;      // spreads a warp's stores over the banks
constexpr int kBytes = 64;                   // of a row that a warp takes at once
constexpr int kLoopBytes = kBytes * kWarps;  // and the block

// The products of 16 bytes of each lane: two weight rows, g and g + 8, and row g of x.
__device__ __forceinline__ void multiply(float (&sum)[4], const uint4& low, const uint4& high,
                                         const uint4& x, device::e4m3_t) {
  const uint32_t lows[4] = {low.x, low.y, low.z, low.w};
  const uint32_t highs[4] = {high.x, high.y, high.z, high.w};
  const uint32_t xs[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t a[4] = {device::decode_low_half2(lows[i]), device::decode_low_half2(highs[i]),
                           device::decode_high_half2(lows[i]), device::decode_high_half2(highs[i])};
    device::mma_f16(sum, a, device::decode_low_half2(xs[i]), device::decode_high_half2(xs[i]));
  }
}
__device__ __forceinline__ void multiply(float (&sum)[4], const uint4& low, const uint4& high,
                                         const uint4& x, __nv_bfloat16) {
  const uint32_t first[4] = {low.x, high.x, low.y, high.y};
  device::mma_bf16(sum, first, x.x, x.y);
  const uint32_t second[4] = {low.z, high.z, low.w, high.w};
  device::mma_bf16(sum, second, x.z, x.w);
}

// A tile: 16 rows of an expert's weight, and up to 8 kEights rows of x.
struct Tile {
  int expert;
  int column;    // of y: the first
  int row, end;  // of x: the first, and one past the expert's last
};

// kSwiglu: the first 8 weight rows of a tile are gate rows, the others the same up rows.
template <typename Code, typename Y, int kEights, bool kSwiglu>
struct Stream {
  const GroupedGemm& gemm;
  float (&sums)[kWarps][8 * kEights][kPitch];

  static constexpr int kTokens = 8 * kEights;
  static constexpr int kOutputs = kSwiglu ? kStreamRows / 2 : kStreamRows;  // columns of y

  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  static __device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / 32; }

  __device__ __forceinline__ int columns() const { return kSwiglu ? gemm.n / 2 : gemm.n; }
  __device__ __forceinline__ int blocks() const { return (columns() + kOutputs - 1) / kOutputs; }
  // Tiles that differ in the rows of x alone are neighbours: the second finds its weights in L2.
  __device__ __forceinline__ int tiles_of(int rows) const {
    return (rows + kTokens - 1) / kTokens * blocks();
  }
  __device__ __forceinline__ Tile tile_of(const device::ExpertWalk& walk, int index) const {
    const int groups = (walk.rows() + kTokens - 1) / kTokens;
    const int within = index - walk.first;
    return {.expert = walk.expert,
            .column = within / groups * kOutputs,
            .row = walk.begin() + within % groups * kTokens,
            .end = walk.end()};
  }

  // Rows past the last one are read as the last one; nobody stores what becomes of them.
  __device__ __forceinline__ const uint8_t* weight_row(const Tile& tile, int row) const {
    const int first = row / kOutputs * columns();
    const int64_t at = static_cast<int64_t>(tile.expert) * gemm.n + first +
                       min(tile.column + row % kOutputs, columns() - 1);
    return static_cast<const uint8_t*>(gemm.weight) + at * gemm.k * int64_t{sizeof(Code)};
  }
  __device__ __forceinline__ const uint8_t* x_row(const Tile& tile, int row) const {
    const int64_t at = min(tile.row + row, tile.end - 1);
    return static_cast<const uint8_t*>(gemm.x) + at * gemm.x_stride * int64_t{sizeof(Code)};
  }

  // The warp's part of K; the block's warps take turns along it.
  __device__ __forceinline__ void sum_tile(float (&sum)[kEights][4], const Tile& tile) const {
    const int bytes = gemm.k * static_cast<int>(sizeof(Code));
    const uint8_t* low = weight_row(tile, lane() / 4);
    const uint8_t* high = weight_row(tile, lane() / 4 + 8);
    const uint8_t* x[kEights];
#pragma unroll
    for (int e = 0; e < kEights; ++e) x[e] = x_row(tile, e * 8 + lane() / 4);
    constexpr uint4 kZeros = {0, 0, 0, 0};
    for (int at = warp() * kBytes + lane() % 4 * 16; at - lane() % 4 * 16 < bytes;
         at += kBatch * kLoopBytes) {
      uint4 lows[kBatch], highs[kBatch], xs[kBatch][kEights];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int byte = at + i * kLoopBytes;
        lows[i] = byte < bytes ? device::load_streaming(low + byte) : kZeros;
        highs[i] = byte < bytes ? device::load_streaming(high + byte) : kZeros;
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int byte = at + i * kLoopBytes;
#pragma unroll
        for (int e = 0; e < kEights; ++e)
          xs[i][e] = byte < bytes ? *reinterpret_cast<const uint4*>(x[e] + byte) : kZeros;
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
#pragma unroll
        for (int e = 0; e < kEights; ++e) multiply(sum[e], lows[i], highs[i], xs[i][e], Code{});
      }
    }
  }

  // Of d, a lane has the weight rows g and g + 8 of the rows 2t and 2t + 1 of x.
  __device__ __forceinline__ void stage(const float (&sum)[kEights][4]) const {
    auto& own = sums[warp()];
#pragma unroll
    for (int e = 0; e < kEights; ++e) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        own[e * 8 + lane() % 4 * 2 + i % 2][lane() / 4 + i / 2 * 8] = sum[e][i];
    }
  }

  // Adds the warps' parts in their order.
  __device__ __forceinline__ float whole(const Tile& tile, int token, int row) const {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) sum += sums[i][token][row];
    const int column = row / kOutputs * columns() + tile.column + row % kOutputs;
    return sum * grouped_scale(gemm, tile.expert, tile.row + token, column, 0);
  }

  __device__ __forceinline__ Y* at(int64_t row, int64_t column) const {
    return static_cast<Y*>(gemm.y) + row * gemm.y_stride + column;
  }

  // A thread an output.
  __device__ __forceinline__ void store(const Tile& tile) const {
    const int token = static_cast<int>(threadIdx.x) / kOutputs;
    const int row = static_cast<int>(threadIdx.x) % kOutputs;
    if (token >= kTokens || tile.row + token >= tile.end || tile.column + row >= columns()) return;
    const float value = whole(tile, token, row);
    Y* const y = at(tile.row + token, tile.column + row);
    if constexpr (kSwiglu) {
      const auto rounded = [](float x) { return __bfloat162float(__float2bfloat16_rn(x)); };
      const float up = whole(tile, token, kOutputs + row);
      const float outputs[] = {device::swiglu(rounded(value), rounded(up))};
      device::store_codes<__nv_bfloat16>(y, outputs,
                                         device::inverse_scale(gemm.output_scale + tile.expert));
    } else {
      *y = device::round_to<Y>(value);
    }
  }

  __device__ __forceinline__ void clear_rest() const {
    const int64_t first = gemm.offsets[gemm.experts];
    const int64_t count = (gemm.rows - first) * columns();
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
         i += static_cast<int64_t>(gridDim.x) * kThreads)
      *at(first + i / columns(), i % columns()) = Y{};
  }

  __device__ __forceinline__ void run() const {
    device::ExpertWalk walk = {gemm.offsets, gemm.experts};
    const auto count = [&](int rows) { return tiles_of(rows); };
    for (int index = blockIdx.x; walk.find(index, count); index += gridDim.x) {
      const Tile tile = tile_of(walk, index);
      float sum[kEights][4] = {};
      sum_tile(sum, tile);
      __syncthreads();  // the tile before is stored
      stage(sum);
      __syncthreads();
      store(tile);
    }
    clear_rest();
  }
};

template <typename Code, typename Y, int kEights, bool kSwiglu>
__global__ void __launch_bounds__(kThreads, kStreamBlocks)
    grouped_stream_kernel(const __grid_constant__ GroupedGemm gemm) {
  __shared__ float sums[kWarps][8 * kEights][kPitch];
  static_assert(8 * kEights * kStreamRows <= kThreads);
  device::launch_dependents();
  device::wait_for_dependencies();
  Stream<Code, Y, kEights, kSwiglu>{gemm, sums}.run();
}

template <typename Code, typename Y, bool kSwiglu>
void launch_tokens(const GroupedGemm& gemm, int tokens, int multiprocessors, const Launch& where) {
  const int64_t weight_tiles = blocks_for(gemm.n, kStreamRows);
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(
      std::min<int64_t>(gemm.rows * weight_tiles, int64_t{kStreamBlocks} * multiprocessors)));
  if (tokens <= 8) return launch(where, grid, grouped_stream_kernel<Code, Y, 1, kSwiglu>, gemm);
  launch(where, grid, grouped_stream_kernel<Code, Y, 2, kSwiglu>, gemm);
}

}  // namespace

void launch_grouped_stream(const GroupedGemm& gemm, int tokens, int multiprocessors,
                           const Launch& where) {
  dispatch_activation(gemm.y_type, [&]<typename Y>(Y) {
    if (gemm.weight_type == DType::kE4M3)
      return launch_tokens<device::e4m3_t, Y, false>(gemm, tokens, multiprocessors, where);
    launch_tokens<__nv_bfloat16, Y, false>(gemm, tokens, multiprocessors, where);
  });
}

void launch_grouped_stream_swiglu(const GroupedGemm& gemm, int tokens, int multiprocessors,
                                  const Launch& where) {
  launch_tokens<device::e4m3_t, device::e4m3_t, true>(gemm, tokens, multiprocessors, where);
}

}  // namespace octavo::cuda
