// FP8 linear for many tokens: TMA, wgmma, two CTAs that share an operand, SwiGLU where asked.
// SPDX-License-Identifier: Apache-2.0
//
// A CTA makes tiles of 128 tokens × kColumns weight rows, one after the other. One warp loads; two
// warpgroups multiply 64 tokens each. The CTAs of a cluster of two make neighbouring tiles: of the
// operand that they share each loads half into the shared memory of both. What a tile has summed is
// rounded to bfloat16 in registers, and stored piece by piece while the next tile's products run.
// Part of sm90_fp8_gemm*.cu, which differ in the scales.
#pragma once

#include <algorithm>

#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/mma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/ptx/wgmma_16bit.cuh"
#include "backend/cuda/device/ptx/wgmma_wide.cuh"
#include "backend/cuda/device/swiglu.cuh"
#include "backend/cuda/gemm/sm90_fp8_gemm_tiles.cuh"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda::large {

// Scales of a tile's two halves; `whole` where each half lies in one segment and has no bias.
struct TileScales {
  float half[2];
  bool whole;
};

__device__ __forceinline__ int segment_of(const LargeGemm& gemm, int row) {
  int segment = 0;
  while (segment + 1 < gemm.segments && row >= gemm.segment_end[segment]) ++segment;
  return segment;
}

template <typename Cut>
__device__ __forceinline__ TileScales tile_scales(const LargeGemm& gemm, const Shared<Cut>& shared,
                                                  const typename Cut::Tile& tile) {
  const float* own = shared.scale + of_experts_before<Cut>(tile, gemm.segments);
  TileScales scales;
  scales.whole = gemm.bias == nullptr;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int end = Cut::kSwiglu && half == 0 ? gemm.n / 2 : gemm.n;
    const int first = min(first_row<Cut>(gemm.n, tile, half), end - 1);
    const int segment = segment_of(gemm, first);
    scales.whole &= segment == segment_of(gemm, min(first + Cut::kHalf, end) - 1);
    scales.half[half] = own[segment];
  }
  return scales;
}

// Biases of two neighbours of the eight weight rows from `eight` on, which all exist or do not. One
// of -0 leaves a product as it is.
__device__ __forceinline__ float2 pair_bias(const LargeGemm& gemm, int eight, int within) {
  if (gemm.bias == nullptr || eight >= gemm.n) return make_float2(-0.0f, -0.0f);
  const auto* from = static_cast<const __nv_bfloat16*>(gemm.bias) + eight + within;
  return make_float2(device::to_float(from[0]), device::to_float(from[1]));
}

__device__ __forceinline__ uint32_t bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// The scale of a weight row, where no two parts of K differ.
__device__ __forceinline__ float row_scale(const LargeGemm& gemm, int row) {
  const ScaleStrides& strides = gemm.strides;
  if (strides.block_rows == 0) return gemm.weight_scale[segment_of(gemm, row)];
  return gemm.weight_scale[row / strides.block_rows * strides.weight_row];
}

template <typename Cut>
struct Consumer {
  using Tile = typename Cut::Tile;
  using Tiles = typename Cut::Tiles;

  const LargeGemm& gemm;
  const Tiles& tiles;
  Shared<Cut>& shared;
  float inverse;  // of the output scale, where SwiGLU is fused

  using Sums = float[Cut::kEights][4];
  using Rows = uint4[Cut::kAccesses];  // a lane's part of a piece
  static constexpr int kChunks = Cut::kRowBytes / 16;

  using Outputs = uint32_t[Cut::kEights][2];  // pairs of bfloat16: rows g and g + 8 of a warp

  static __device__ __forceinline__ int group() { return static_cast<int>(threadIdx.x) / 128; }
  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  static __device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / 32; }

  // One thread of a warp tells both CTAs that the warp's products have read the slot.
  __device__ __forceinline__ void release(int slot) const {
    if (lane() < kCluster)
      device::arrive_at_peer(device::shared_address(&shared.empty[slot]),
                             static_cast<uint32_t>(lane()));
  }

  __device__ __forceinline__ void multiply(Sums& sums, int slot, bool add) const {
    const uint64_t a = device::wgmma_descriptor_swizzled(device::shared_address(shared.x[slot]) +
                                                         group() * kGroupTokens * kStep);
    const uint64_t b =
        device::wgmma_descriptor_swizzled(device::shared_address(shared.weight[slot]));
    device::wgmma_fence();
#pragma unroll
    for (int i = 0; i < kStep / 32; ++i)
      device::wgmma_e4m3(sums, a + i * device::kSwizzledStep, b + i * device::kSwizzledStep,
                         add || i > 0);
    device::wgmma_commit();
  }

  __device__ __forceinline__ void round(Outputs& outputs, const Sums& sums, const Tile& tile,
                                        const TileScales& scales) const {
    if (scales.whole) {
#pragma unroll
      for (int j = 0; j < Cut::kEights; ++j) {
        const float scale = scales.half[j / (Cut::kEights / 2)];
        outputs[j][0] = bf16_pair(sums[j][0] * scale, sums[j][1] * scale);
        outputs[j][1] = bf16_pair(sums[j][2] * scale, sums[j][3] * scale);
      }
      return;
    }
#pragma unroll
    for (int j = 0; j < Cut::kEights; ++j) {
      const int first = first_row<Cut>(gemm.n, tile, j / (Cut::kEights / 2));
      const int eight = first + j % (Cut::kEights / 2) * 8;
      const float scale =
          shared.scale[of_experts_before<Cut>(tile, gemm.segments) + segment_of(gemm, eight)];
      const float2 bias = pair_bias(gemm, eight, lane() % 4 * 2);
#pragma unroll
      for (int i = 0; i < 2; ++i)
        outputs[j][i] = bf16_pair(__fmaf_rn(sums[j][2 * i], scale, bias.x),
                                  __fmaf_rn(sums[j][2 * i + 1], scale, bias.y));
    }
  }

  // The first token of the two whose sums the thread has; the other is 8 further on.
  __device__ __forceinline__ int own_token(const Tile& tile) const {
    return tile.token + warp() * kWarpTokens + lane() / 4;
  }

  // Of a token's scales the first. What lies past the last token is not stored.
  __device__ __forceinline__ const float* token_scales(int token) const {
    return gemm.input_scale + min(token, gemm.m - 1) * gemm.strides.input_row;
  }

  // Calls function(j, eight) for the eights of the tile's columns and what is added to each two
  // neighbours of one. What has no bias has no test for it either: 64 jumps over cold code would
  // miss the instruction cache.
  template <typename Function>
  __device__ __forceinline__ void for_eights(const Tile& tile, const Function& function) const {
    if (gemm.bias == nullptr) {
#pragma unroll
      for (int j = 0; j < Cut::kEights; ++j) function(j, make_float2(-0.0f, -0.0f));
    } else {
#pragma unroll
      for (int j = 0; j < Cut::kEights; ++j)
        function(j, pair_bias(gemm, tile.column + j * 8, lane() % 4 * 2));
    }
  }

  // `scales`: of the weight rows of the tile, in shared memory; `low` and `high` of the two tokens.
  __device__ __forceinline__ void round_vectors(Outputs& outputs, const Sums& sums,
                                                const Tile& tile, const float* scales, float low,
                                                float high) const {
    for_eights(tile, [&](int j, float2 bias) {
      const float2 scale = *reinterpret_cast<const float2*>(scales + j * 8 + lane() % 4 * 2);
      outputs[j][0] = bf16_pair(__fmaf_rn(sums[j][0], low * scale.x, bias.x),
                                __fmaf_rn(sums[j][1], low * scale.y, bias.y));
      outputs[j][1] = bf16_pair(__fmaf_rn(sums[j][2], high * scale.x, bias.x),
                                __fmaf_rn(sums[j][3], high * scale.y, bias.y));
    });
  }

  // What was summed is scaled already.
  __device__ __forceinline__ void round_scaled(Outputs& outputs, const Sums& sums,
                                               const Tile& tile) const {
    for_eights(tile, [&](int j, float2 bias) {
#pragma unroll
      for (int i = 0; i < 2; ++i)
        outputs[j][i] = bf16_pair(sums[j][2 * i] + bias.x, sums[j][2 * i + 1] + bias.y);
    });
  }

  // Where the 16 bytes `chunk` of a row of the warp's staged outputs lie: rows that are accessed
  // together are spread over the banks.
  __device__ __forceinline__ uint32_t staged(int row, int chunk) const {
    const int place = chunk ^ (row * Cut::kRowBytes / 128 & (kChunks - 1));
    return device::shared_address(shared.staged[warp()]) + row * Cut::kRowBytes + place * 16;
  }

  __device__ __forceinline__ void load_rows(Rows& rows) const {
    __syncwarp();
#pragma unroll
    for (int i = 0; i < Cut::kAccesses; ++i)
      rows[i] =
          device::load_shared_16(staged(i * (32 / kChunks) + lane() / kChunks, lane() % kChunks));
  }

  __device__ __forceinline__ void store_rows(const Rows& rows, const Tile& tile, int piece) const {
    const int columns = Cut::kSwiglu ? gemm.n / 2 : gemm.n;
    const int column =
        tile.column + piece * Cut::kPieceColumns + lane() % kChunks * (16 / Cut::kElementBytes);
    const int token = tile.token + warp() * kWarpTokens + lane() / kChunks;
    auto* y = static_cast<uint8_t*>(gemm.y) + (token * gemm.y_stride + column) * Cut::kElementBytes;
#pragma unroll
    for (int i = 0; i < Cut::kAccesses; ++i) {
      if (token + i * (32 / kChunks) < last_token<Cut>(gemm, tile) && column < columns)
        *reinterpret_cast<uint4*>(y) = rows[i];
      y += 32 / kChunks * gemm.y_stride * Cut::kElementBytes;
    }
  }

  template <int kPiece>
  __device__ __forceinline__ void stage_bf16(const Outputs& outputs) const {
#pragma unroll
    for (int j = 0; j < Cut::kPieceColumns / 8; j += 2) {
      const auto& low = outputs[kPiece * (Cut::kPieceColumns / 8) + j];
      const auto& high = outputs[kPiece * (Cut::kPieceColumns / 8) + j + 1];
      device::store_tiles(staged(lane() % 16, j + lane() / 16), low[0], low[1], high[0], high[1]);
    }
  }

  // Of the tile's outputs.
  __device__ __forceinline__ float inverse_of([[maybe_unused]] const Tile& tile) const {
    if constexpr (Cut::kExperts) {
      return shared.scale[tiles.experts * gemm.segments + tile.expert];
    } else {
      return inverse;
    }
  }

  // Codes of two neighbours of a row. Nothing of it may be computed ahead of the loop over stages,
  // where the compiler would find no registers for it.
  static __device__ __forceinline__ uint32_t swiglu_codes(uint32_t gates, uint32_t ups,
                                                          float inverse) {
    device::pin(gates, ups);
    const float low = device::swiglu(__uint_as_float(gates << 16), __uint_as_float(ups << 16));
    const float high =
        device::swiglu(__uint_as_float(gates & 0xFFFF0000u), __uint_as_float(ups & 0xFFFF0000u));
    const uint32_t rounded = bf16_pair(low, high);
    return device::encode_e4m3x2(__uint_as_float(rounded << 16) * inverse,
                                 __uint_as_float(rounded & 0xFFFF0000u) * inverse);
  }

  template <int kPiece>
  __device__ __forceinline__ void stage_swiglu(const Outputs& outputs, float of_tile) const {
#pragma unroll
    for (int i = 0; i < Cut::kPieceColumns / 8; ++i) {
      const int eight = kPiece * (Cut::kPieceColumns / 8) + i;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint32_t codes =
            swiglu_codes(outputs[eight][half], outputs[eight + Cut::kEights / 2][half], of_tile);
        const uint32_t to = staged(lane() / 4 + 8 * half, i / 2) + i % 2 * 8 + lane() % 4 * 2;
        device::store_shared_2(to, static_cast<uint16_t>(codes));
      }
    }
  }

  // One piece, to shared memory.
  __device__ __forceinline__ void stage(int piece, const Outputs& outputs, const Tile& tile) const {
    const auto one = [&]<int kPiece>(std::integral_constant<int, kPiece>) {
      if (piece != kPiece) return;
      if constexpr (Cut::kSwiglu) {
        stage_swiglu<kPiece>(outputs, inverse_of(tile));
      } else {
        stage_bf16<kPiece>(outputs);
      }
    };
    __syncwarp();
    [&]<int... kPieces>(std::integer_sequence<int, kPieces...>) {
      (one(std::integral_constant<int, kPieces>{}), ...);
    }
    (std::make_integer_sequence<int, Cut::kPieces>{});
  }

  // Of the weight row that the thread fetches for all: they share a tile's scales.
  __device__ __forceinline__ float own_column_scale(int index) const {
    const int row = tile_at<Cut>(tiles, index).column + static_cast<int>(threadIdx.x);
    return threadIdx.x < Cut::kColumns ? row_scale(gemm, min(row, gemm.n - 1)) : 0.0f;
  }

  // The sums of a tile whose stages have scales of their own: each stage's products start from zero
  // and are added in float32. `beside` does the work of its argument, which starts products, and
  // what else there is to do while they run. The two warpgroups take turns: one multiplies while
  // the other adds.
  template <typename Beside>
  __device__ __forceinline__ void sum_blocks(Sums& sums, const Tile& tile, device::RingPosition& at,
                                             const Beside& beside) const {
    const ScaleStrides& strides = gemm.strides;
    const float* low_from = token_scales(own_token(tile));
    const float* high_from = token_scales(own_token(tile) + 8);
    const float* weight_from =
        gemm.weight_scale + min(tile.column, gemm.n - 1) / strides.block_rows * strides.weight_row;
    float low = *low_from, high = *high_from, weight = *weight_from;
#pragma unroll
    for (auto& four : sums) four[0] = four[1] = four[2] = four[3] = 0.0f;
#pragma unroll 1
    for (int stage = 0; stage < tiles.stages; ++stage) {
      Sums part;
      device::wait_barrier(device::shared_address(&shared.full[at.slot]), at.parity);
      beside([&] { multiply(part, at.slot, /*add=*/false); });
      device::wgmma_wait_until<0>();
      device::pin(part);
      release(at.slot);
      at.advance(Cut::kDepth);
      // Fetched a stage ago; the next ones have as long.
      const float low_scale = low * weight, high_scale = high * weight;
      const int next = stage + 1 < tiles.stages ? 1 : 0;
      low = *(low_from += next * strides.input_part);
      high = *(high_from += next * strides.input_part);
      weight = *(weight_from += next);
#pragma unroll
      for (int j = 0; j < Cut::kEights; ++j) {
        sums[j][0] = __fmaf_rn(part[j][0], low_scale, sums[j][0]);
        sums[j][1] = __fmaf_rn(part[j][1], low_scale, sums[j][1]);
        sums[j][2] = __fmaf_rn(part[j][2], high_scale, sums[j][2]);
        sums[j][3] = __fmaf_rn(part[j][3], high_scale, sums[j][3]);
      }
    }
  }

  // Rows of no expert, which come last.
  __device__ void clear_rest() const {
    const int first = tiles.offsets[tiles.experts];
    const int64_t stride = gemm.y_stride * Cut::kElementBytes;
    const int pieces = gemm.n / (Cut::kSwiglu ? 2 : 1) * Cut::kElementBytes / 16;
    const int64_t count = static_cast<int64_t>(gemm.m - first) * pieces;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * kConsumers + threadIdx.x; i < count;
         i += static_cast<int64_t>(gridDim.x) * kConsumers) {
      auto* row = static_cast<uint8_t*>(gemm.y) + (first + i / pieces) * stride;
      *reinterpret_cast<uint4*>(row + i % pieces * 16) = make_uint4(0, 0, 0, 0);
    }
  }

  __device__ void run() const {
    const int clusters = static_cast<int>(gridDim.x) / kCluster;
    device::RingPosition at;
    Outputs outputs;           // of the tile before
    Tile before = {};          // its place
    int piece = Cut::kPieces;  // the next of it to be staged
    bool is_staged = false;    // the one before that is, and not yet stored
    const auto step_before = [&](const Rows& rows) {
      if (is_staged) store_rows(rows, before, piece - 1);
      is_staged = piece < Cut::kPieces;
      if (is_staged) stage(piece++, outputs, before);
    };
    const auto finish_before = [&] {
#pragma unroll 1
      while (is_staged || piece < Cut::kPieces) {
        Rows rows;
        if (is_staged) load_rows(rows);
        step_before(rows);
      }
    };
    [[maybe_unused]] int scales_of_tile = 0;  // which of the column scales they are
    device::wait_for_dependencies();
    const auto count = counter_of<Cut>(tiles);
#pragma unroll 1
    for (int index = static_cast<int>(blockIdx.x) / kCluster; index < count(); index += clusters) {
      Sums sums;
      if constexpr (Cut::kScaling == Scaling::kBlocks) {
        const Tile tile = tile_at<Cut>(tiles, index);
        sum_blocks(sums, tile, at, [&](auto&& products) {
          Rows rows;
          if (is_staged) load_rows(rows);
          products();
          step_before(rows);
        });
        finish_before();
        round_scaled(outputs, sums, tile);
        before = tile;
      } else {
        [[maybe_unused]] float column_scale = 0.0f;
        if constexpr (Cut::kScaling == Scaling::kVectors) column_scale = own_column_scale(index);
        int previous = 0;
#pragma unroll 1
        for (int stage = 0; stage < tiles.stages; ++stage) {
          device::wait_barrier(device::shared_address(&shared.full[at.slot]), at.parity);
          // Accesses of shared memory queue behind the products that were issued before them: what
          // is loaded here is there when the stage before has been multiplied, and nothing waits
          // for it.
          Rows rows;
          if (is_staged) load_rows(rows);
          multiply(sums, at.slot, stage > 0);
          device::wgmma_wait_until<1>();
          if (stage > 0) release(previous);
          previous = at.slot;
          at.advance(Cut::kDepth);
          step_before(rows);
        }
        // While the last products run.
        const Tile tile = tile_at<Cut>(tiles, index);
        if constexpr (Cut::kScaling == Scaling::kVectors) {
          float* const scales = shared.column_scale[scales_of_tile];
          if (threadIdx.x < Cut::kColumns) scales[threadIdx.x] = column_scale;
          const float low = *token_scales(own_token(tile));
          const float high = *token_scales(own_token(tile) + 8);
          device::wait_named(kConsumerBarrier, kConsumers);
          scales_of_tile ^= 1;  // nobody writes them before all have met again
          device::wgmma_wait_until<0>();
          device::pin(sums);
          release(previous);
          finish_before();
          round_vectors(outputs, sums, tile, scales, low, high);
        } else {
          const TileScales scales = tile_scales<Cut>(gemm, shared, tile);
          device::wgmma_wait_until<0>();
          device::pin(sums);
          release(previous);
          finish_before();
          round(outputs, sums, tile, scales);
        }
        before = tile;
      }
      piece = 0;
    }
    finish_before();
    if constexpr (Cut::kExperts) clear_rest();
  }
};

template <typename Cut>
__global__ void __launch_bounds__(kThreads, 1)
    large_gemm_kernel(const __grid_constant__ LargeGemm gemm,
                      const __grid_constant__ typename Cut::Tiles tiles,
                      const __grid_constant__ CUtensorMap x_map,
                      const __grid_constant__ CUtensorMap weight_map) {
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<Shared<Cut>*>(memory);
  if (threadIdx.x == kConsumers) {
    for (const CUtensorMap* map : {&x_map, &weight_map}) device::prefetch_tensor_map(map);
    for (int slot = 0; slot < Cut::kDepth; ++slot) {
      device::init_barrier(device::shared_address(&shared.full[slot]), 1);
      device::init_barrier(device::shared_address(&shared.empty[slot]), kCluster * kConsumers / 32);
    }
    device::publish_barriers();
  }
  if constexpr (Cut::kExperts) {
    for (int i = threadIdx.x; i < tiles.experts * gemm.segments; i += kThreads)
      shared.scale[i] = gemm.input_scale[i / gemm.segments] * gemm.weight_scale[i];
    for (int i = threadIdx.x; Cut::kSwiglu && i < tiles.experts; i += kThreads)
      shared.scale[tiles.experts * gemm.segments + i] =
          device::inverse_scale(gemm.output_scale + i);
  } else if (Cut::kScaling == Scaling::kSegments && static_cast<int>(threadIdx.x) < gemm.segments)
    shared.scale[threadIdx.x] = *gemm.input_scale * gemm.weight_scale[threadIdx.x];
  device::cluster_sync();  // the other CTA's barriers are there too
  if (threadIdx.x < kConsumers) {
    device::take_registers<kConsumerRegisters>();
    const float inverse =
        Cut::kSwiglu && !Cut::kExperts ? device::inverse_scale(gemm.output_scale) : 0.0f;
    Consumer<Cut>{gemm, tiles, shared, inverse}.run();
  } else {
    device::give_up_registers<kProducerRegisters>();
    if (threadIdx.x == kConsumers) Producer<Cut>{gemm, tiles, shared, &x_map, &weight_map}.run();
    __syncwarp();
  }
  device::cluster_sync();  // the other CTA may still write here
}

inline CUtensorMap codes_map(const uint8_t* data, int rows, int columns, int64_t stride,
                             int box_rows) {
  TensorMapSpec spec;
  spec.data = data;
  spec.sizes[0] = static_cast<uint64_t>(columns);
  spec.sizes[1] = static_cast<uint64_t>(rows);
  spec.strides[0] = static_cast<uint64_t>(stride);
  spec.box[0] = kStep;
  spec.box[1] = static_cast<uint32_t>(box_rows);
  return make_tensor_map(spec);
}

template <typename Cut>
void launch_cut(const LargeGemm& gemm, bool share_x, const Launch& where) {
  const auto kernel = large_gemm_kernel<Cut>;
  int device = 0;
  int multiprocessors = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  OCTAVO_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const int outputs = Cut::kSwiglu ? gemm.n / 2 : gemm.n;
  const int tokens_of_unit = share_x ? kTokens : kCluster * kTokens;
  const Tiles tiles = {.token_units = static_cast<int>(blocks_for(gemm.m, tokens_of_unit)),
                       .column_units = static_cast<int>(
                           blocks_for(outputs, Cut::kOutputs * (share_x ? kCluster : 1))),
                       .band = kBandTokens / tokens_of_unit,
                       .stages = static_cast<int>(blocks_for(gemm.k, kStep)),
                       .share_x = share_x};
  const int clusters = std::min(tiles.token_units * tiles.column_units, multiprocessors / kCluster);
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = kCluster;
  grid.blocks = dim3(static_cast<unsigned>(clusters * kCluster));
  grid.shared_bytes = static_cast<int>(sizeof(Shared<Cut>));
  static_assert(sizeof(Shared<Cut>) <= kSharedBytes);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, gemm, tiles,
         codes_map(gemm.x, gemm.m, gemm.k, gemm.x_stride, share_x ? kTokens / kCluster : kTokens),
         codes_map(gemm.weight, gemm.n, gemm.k, gemm.weight_stride, Cut::kHalf));
}

}  // namespace octavo::cuda::large
