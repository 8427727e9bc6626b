// FP8 linear for many tokens: TMA, wgmma, two CTAs that share an operand, SwiGLU where asked.
// SPDX-License-Identifier: Apache-2.0
//
// A CTA makes tiles of 128 tokens × kColumns weight rows, one after the other. One warp loads; two
// warpgroups multiply 64 tokens each. The CTAs of a cluster of two make neighbouring tiles: of the
// operand that they share each loads half into the shared memory of both. What a tile has summed is
// rounded to bfloat16 in registers, and stored piece by piece while the next tile's products run.
#include <algorithm>
#include <span>

#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/mma.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/ptx/wgmma_16bit.cuh"
#include "backend/cuda/device/ptx/wgmma_wide.cuh"
#include "backend/cuda/device/swiglu.cuh"
#include "backend/cuda/gemm/sm90_fp8_gemm.h"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda {
namespace {

constexpr int kConsumers = 256;
constexpr int kThreads = kConsumers + 128;
constexpr int kProducerRegisters = 24;
constexpr int kConsumerRegisters = 240;
constexpr int kTokens = 128;      // of a tile
constexpr int kGroupTokens = 64;  // of them a warpgroup's
constexpr int kStep = 128;        // codes of K of a stage
constexpr int kCluster = 2;
constexpr int kBandTokens = 2048;  // tiles of these are worked on together: x stays in L2
constexpr int kSharedBytes = 227 * 1024;
constexpr int kWarpTokens = 16;
constexpr int kConsumerWarps = kConsumers / 32;

// The shape of a tile. kSwiglu: half of the weight rows are gate rows, the others the same up rows.
template <int kColumnsOfTile, bool kFused>
struct Cut {
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr bool kSwiglu = kFused;
  static constexpr int kHalf = kColumns / 2;
  static constexpr int kEights = kColumns / 8;
  static constexpr int kOutputs = kSwiglu ? kHalf : kColumns;  // columns of y
  // y leaves in pieces: a warp turns its part of one into rows in shared memory, and stores those.
  static constexpr int kPieceColumns = 32;
  static constexpr int kPieces = kOutputs / kPieceColumns;
  static constexpr int kElementBytes = kSwiglu ? 1 : 2;
  static constexpr int kRowBytes = kPieceColumns * kElementBytes;
  static constexpr int kStagedBytes = kWarpTokens * kRowBytes;  // of a warp
  static constexpr int kAccesses = kStagedBytes / (32 * 16);    // of 16 bytes by each lane
  static constexpr int kStageBytes = (kTokens + kColumns) * kStep;
  static constexpr int kDepth = (kSharedBytes - kConsumerWarps * kStagedBytes - 1024) / kStageBytes;
};

// Shared memory; it starts on a multiple of 1 KiB.
template <typename Cut>
struct Shared {
  uint8_t x[Cut::kDepth][kTokens * kStep];
  uint8_t weight[Cut::kDepth][Cut::kColumns * kStep];
  uint8_t staged[kConsumerWarps][Cut::kStagedBytes];
  uint64_t full[Cut::kDepth], empty[Cut::kDepth];
  float scale[kLargeGemmMaxSegments];  // of x times that of the segment
};

struct Tiles {
  int token_units, column_units;  // of clusters
  int band;                       // token units that are worked on together
  int stages;
  bool share_x;

  __device__ int count() const { return token_units * column_units; }
};

struct Tile {
  int token;   // first
  int column;  // first, of y
};

// The `index`-th tile of the clusters: down a band of tokens first, then along the weights.
template <typename Cut>
__device__ __forceinline__ Tile tile_at(const Tiles& tiles, int index) {
  const int rank = static_cast<int>(device::cluster_rank());
  const int first = index / (tiles.band * tiles.column_units) * tiles.band;
  const int height = min(tiles.band, tiles.token_units - first);
  const int within = index - first * tiles.column_units;
  const int token = first + within % height;
  const int column = within / height;
  if (tiles.share_x) return {token * kTokens, (column * kCluster + rank) * Cut::kOutputs};
  return {(token * kCluster + rank) * kTokens, column * Cut::kOutputs};
}

// First weight row of a half of the tile.
template <typename Cut>
__device__ __forceinline__ int first_row(int n, const Tile& tile, int half) {
  return tile.column + half * (Cut::kSwiglu ? n / 2 : Cut::kHalf);
}

template <typename Cut>
struct Producer {
  const LargeGemm& gemm;
  const Tiles& tiles;
  Shared<Cut>& shared;
  const CUtensorMap* x_map;
  const CUtensorMap* weight_map;

  static constexpr uint16_t kBoth = (1 << kCluster) - 1;

  __device__ __forceinline__ uint32_t full(int slot) const {
    return device::shared_address(&shared.full[slot]);
  }

  __device__ __forceinline__ void load_x(const Tile& tile, int stage, int slot) const {
    const uint32_t to = device::shared_address(shared.x[slot]);
    if (!tiles.share_x) return device::tma_load(to, x_map, full(slot), stage * kStep, tile.token);
    const int rows = static_cast<int>(device::cluster_rank()) * (kTokens / kCluster);
    device::tma_load_multicast(to + rows * kStep, x_map, full(slot), stage * kStep,
                               tile.token + rows, kBoth);
  }

  __device__ __forceinline__ void load_weight(const Tile& tile, int stage, int slot) const {
    const uint32_t to = device::shared_address(shared.weight[slot]);
    constexpr int kHalfBytes = Cut::kHalf * kStep;
    if (tiles.share_x) {
      for (int half = 0; half < 2; ++half)
        device::tma_load(to + half * kHalfBytes, weight_map, full(slot), stage * kStep,
                         first_row<Cut>(gemm.n, tile, half));
      return;
    }
    const int half = static_cast<int>(device::cluster_rank());
    device::tma_load_multicast(to + half * kHalfBytes, weight_map, full(slot), stage * kStep,
                               first_row<Cut>(gemm.n, tile, half), kBoth);
  }

  // Weights do not depend on the grids before: the ring is filled with them ahead of x.
  __device__ void run() const {
    const int clusters = static_cast<int>(gridDim.x) / kCluster;
    int index = static_cast<int>(blockIdx.x) / kCluster;
    const int ahead = min(Cut::kDepth, tiles.stages);
    Tile tile = tile_at<Cut>(tiles, index);
    for (int stage = 0; stage < ahead; ++stage) {
      device::arrive_expecting(full(stage), Cut::kStageBytes);
      load_weight(tile, stage, stage);
    }
    device::wait_for_dependencies();
    for (int stage = 0; stage < ahead; ++stage) load_x(tile, stage, stage);
    device::RingPosition at = {ahead % Cut::kDepth, ahead / Cut::kDepth};
    for (int stage = ahead; index < tiles.count(); index += clusters, stage = 0) {
      tile = tile_at<Cut>(tiles, index);
      if (index + clusters >= tiles.count()) device::launch_dependents();
      for (; stage < tiles.stages; ++stage, at.advance(Cut::kDepth)) {
        device::wait_barrier(device::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
        device::arrive_expecting(full(at.slot), Cut::kStageBytes);
        load_x(tile, stage, at.slot);
        load_weight(tile, stage, at.slot);
      }
    }
  }
};

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
                                                  const Tile& tile) {
  TileScales scales;
  scales.whole = gemm.bias == nullptr;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int end = Cut::kSwiglu && half == 0 ? gemm.n / 2 : gemm.n;
    const int first = min(first_row<Cut>(gemm.n, tile, half), end - 1);
    const int segment = segment_of(gemm, first);
    scales.whole &= segment == segment_of(gemm, min(first + Cut::kHalf, end) - 1);
    scales.half[half] = shared.scale[segment];
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

template <typename Cut>
struct Consumer {
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
      const float scale = shared.scale[segment_of(gemm, eight)];
      const float2 bias = pair_bias(gemm, eight, lane() % 4 * 2);
#pragma unroll
      for (int i = 0; i < 2; ++i)
        outputs[j][i] = bf16_pair(__fmaf_rn(sums[j][2 * i], scale, bias.x),
                                  __fmaf_rn(sums[j][2 * i + 1], scale, bias.y));
    }
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
      if (token + i * (32 / kChunks) < gemm.m && column < columns)
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
  __device__ __forceinline__ void stage_swiglu(const Outputs& outputs) const {
#pragma unroll
    for (int i = 0; i < Cut::kPieceColumns / 8; ++i) {
      const int eight = kPiece * (Cut::kPieceColumns / 8) + i;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint32_t codes =
            swiglu_codes(outputs[eight][half], outputs[eight + Cut::kEights / 2][half], inverse);
        const uint32_t to = staged(lane() / 4 + 8 * half, i / 2) + i % 2 * 8 + lane() % 4 * 2;
        device::store_shared_2(to, static_cast<uint16_t>(codes));
      }
    }
  }

  // One piece, to shared memory.
  __device__ __forceinline__ void stage(int piece, const Outputs& outputs) const {
    const auto one = [&]<int kPiece>(std::integral_constant<int, kPiece>) {
      if (piece != kPiece) return;
      if constexpr (Cut::kSwiglu) {
        stage_swiglu<kPiece>(outputs);
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
      if (is_staged) stage(piece++, outputs);
    };
    const auto finish_before = [&] {
#pragma unroll 1
      while (is_staged || piece < Cut::kPieces) {
        Rows rows;
        if (is_staged) load_rows(rows);
        step_before(rows);
      }
    };
    device::wait_for_dependencies();
#pragma unroll 1
    for (int index = static_cast<int>(blockIdx.x) / kCluster; index < tiles.count();
         index += clusters) {
      Sums sums;
      int previous = 0;
#pragma unroll 1
      for (int stage = 0; stage < tiles.stages; ++stage) {
        device::wait_barrier(device::shared_address(&shared.full[at.slot]), at.parity);
        // Accesses of shared memory queue behind the products that were issued before them: what is
        // loaded here is there when the stage before has been multiplied, and nothing waits for it.
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
      const TileScales scales = tile_scales<Cut>(gemm, shared, tile);
      device::wgmma_wait_until<0>();
      device::pin(sums);
      release(previous);
      finish_before();
      round(outputs, sums, tile, scales);
      before = tile;
      piece = 0;
    }
    finish_before();
  }
};

template <typename Cut>
__global__ void __launch_bounds__(kThreads, 1)
    large_gemm_kernel(const __grid_constant__ LargeGemm gemm, const __grid_constant__ Tiles tiles,
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
  if (static_cast<int>(threadIdx.x) < gemm.segments)
    shared.scale[threadIdx.x] = *gemm.input_scale * gemm.weight_scale[threadIdx.x];
  device::cluster_sync();  // the other CTA's barriers are there too
  if (threadIdx.x < kConsumers) {
    device::take_registers<kConsumerRegisters>();
    const float inverse = Cut::kSwiglu ? device::inverse_scale(gemm.output_scale) : 0.0f;
    Consumer<Cut>{gemm, tiles, shared, inverse}.run();
  } else {
    device::give_up_registers<kProducerRegisters>();
    if (threadIdx.x == kConsumers) Producer<Cut>{gemm, tiles, shared, &x_map, &weight_map}.run();
    __syncwarp();
  }
  device::cluster_sync();  // the other CTA may still write here
}

CUtensorMap codes_map(const uint8_t* data, int rows, int columns, int64_t stride, int box_rows) {
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

// Cycles of a stage: the tensor cores take 4 a weight row, and shared memory moves 128 bytes a
// cycle: 128 of each operand in, then x once and the weights twice to the tensor cores.
int stage_cycles(int columns) {
  const int bytes = (kTokens + columns) * kStep + (kTokens + 2 * columns) * kStep;
  return std::max(4 * columns, bytes / 128);
}

LargeGemmConfig best_config(int m, int n, int multiprocessors, std::span<const int> widths,
                            int halves) {
  LargeGemmConfig best;
  int64_t least = INT64_MAX;
  for (const bool share_x : {false, true}) {
    for (const int columns : widths) {
      const int64_t units = blocks_for(m, share_x ? kTokens : kTokens * kCluster) *
                            blocks_for(n / halves, columns / halves * (share_x ? kCluster : 1));
      const int64_t cycles = blocks_for(units, multiprocessors / kCluster) * stage_cycles(columns);
      if (cycles >= least) continue;
      best = {columns, share_x};
      least = cycles;
    }
  }
  return best;
}

}  // namespace

LargeGemmConfig large_gemm_config(int m, int n, int multiprocessors) {
  constexpr int kWidths[] = {256, 192, 160, 128};
  return best_config(m, n, multiprocessors, kWidths, 1);
}

LargeGemmConfig large_gemm_swiglu_config(int m, int n, int multiprocessors) {
  constexpr int kWidths[] = {256};
  return best_config(m, n, multiprocessors, kWidths, 2);
}

void launch_large_gemm(const LargeGemm& gemm, const LargeGemmConfig& config, const Launch& where) {
  switch (config.columns) {
    case 128:
      return launch_cut<Cut<128, false>>(gemm, config.share_x, where);
    case 160:
      return launch_cut<Cut<160, false>>(gemm, config.share_x, where);
    case 192:
      return launch_cut<Cut<192, false>>(gemm, config.share_x, where);
    default:
      launch_cut<Cut<256, false>>(gemm, config.share_x, where);
  }
}

void launch_large_gemm_swiglu(const LargeGemm& gemm, const LargeGemmConfig& config,
                              const Launch& where) {
  launch_cut<Cut<256, true>>(gemm, config.share_x, where);
}

}  // namespace octavo::cuda
