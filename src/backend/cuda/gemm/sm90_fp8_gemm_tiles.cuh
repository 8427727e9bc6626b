// FP8 linear for many tokens: its tiles, and the warp that brings them to shared memory.
// SPDX-License-Identifier: Apache-2.0
//
// Part of sm90_fp8_gemm_kernel.cuh.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <type_traits>

#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/gemm/expert_tiles.h"
#include "backend/cuda/gemm/sm90_grouped_gemm.h"

namespace octavo::cuda::large {

inline constexpr int kConsumers = 256;
inline constexpr int kThreads = kConsumers + 128;
inline constexpr int kProducerRegisters = 24;
inline constexpr int kConsumerRegisters = 240;
inline constexpr int kGroupTokens = 64;  // of them a warpgroup's
inline constexpr int kStep = 128;        // codes of K of a stage
inline constexpr int kSharedBytes = 227 * 1024;
inline constexpr int kWarpTokens = 16;
inline constexpr int kConsumerWarps = kConsumers / 32;
inline constexpr int kConsumerBarrier = 1;  // 0 is __syncthreads

enum class Scaling : uint8_t {
  kSegments,  // one of x times one of the weight row's segment
  kVectors,   // one of the token times one of the weight row
  kBlocks,    // both also by parts of K, which are a stage each
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

// The shape of a tile. kSwiglu: half of the weight rows are gate rows, the others the same up rows.
// kExperts: weights are a stack, and rows of x and scales are some expert's.
template <int kColumnsOfTile, bool kFused, Scaling kScales = Scaling::kSegments,
          bool kOfExperts = false>
struct Cut {
  static constexpr bool kExperts = kOfExperts;
  using Tiles = std::conditional_t<kExperts, ExpertTiles, large::Tiles>;
  using Tile = std::conditional_t<kExperts, ExpertTile, large::Tile>;
  static constexpr int kMostScales = kExperts ? kMostExpertGemmScales : kLargeGemmMaxSegments;
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr bool kSwiglu = kFused;
  static constexpr Scaling kScaling = kScales;
  static constexpr int kScaleColumns = kScaling == Scaling::kVectors ? kColumns : 1;
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
  float scale[Cut::kMostScales];              // of x times that of the segment; then 1 / y's
  float column_scale[2][Cut::kScaleColumns];  // of the weight rows of this tile, or of the next
};

// The `index`-th tile of the clusters: down a band of tokens first, then along the weights.
template <typename Cut>
__device__ __forceinline__ typename Cut::Tile tile_at(const typename Cut::Tiles& tiles, int index) {
  const int rank = static_cast<int>(device::cluster_rank());
  if constexpr (Cut::kExperts) {
    return tiles.at(index, rank);
  } else {
    const int first = index / (tiles.band * tiles.column_units) * tiles.band;
    const int height = min(tiles.band, tiles.token_units - first);
    const int within = index - first * tiles.column_units;
    const int token = first + within % height;
    const int column = within / height;
    if (tiles.share_x) return {token * kTokens, (column * kCluster + rank) * Cut::kOutputs};
    return {(token * kCluster + rank) * kTokens, column * Cut::kOutputs};
  }
}

// Says how many there are. Experts' are counted once; of the others the product costs less than a
// register that holds it.
template <typename Cut>
__device__ __forceinline__ auto counter_of(const typename Cut::Tiles& tiles) {
  if constexpr (Cut::kExperts) {
    return [count = tiles.count()] { return count; };
  } else {
    return [&tiles] { return tiles.count(); };
  }
}

template <typename Cut>
__device__ __forceinline__ bool shares_x(const typename Cut::Tiles& tiles,
                                         [[maybe_unused]] const typename Cut::Tile& tile) {
  if constexpr (Cut::kExperts) {
    return tile.share_x;
  } else {
    return tiles.share_x;
  }
}

// One past the last token that is stored.
template <typename Cut>
__device__ __forceinline__ int last_token(const LargeGemm& gemm,
                                          [[maybe_unused]] const typename Cut::Tile& tile) {
  if constexpr (Cut::kExperts) {
    return tile.end;
  } else {
    return gemm.m;
  }
}

// What belongs to an expert lies behind so many times `each` of the experts before.
template <typename Cut>
__device__ __forceinline__ int of_experts_before([[maybe_unused]] const typename Cut::Tile& tile,
                                                 [[maybe_unused]] int each) {
  if constexpr (Cut::kExperts) {
    return tile.expert * each;
  } else {
    return 0;
  }
}

// First weight row of a half of the tile.
template <typename Cut>
__device__ __forceinline__ int first_row(int n, const typename Cut::Tile& tile, int half) {
  return tile.column + half * (Cut::kSwiglu ? n / 2 : Cut::kHalf);
}

template <typename Cut>
struct Producer {
  using Tile = typename Cut::Tile;
  using Tiles = typename Cut::Tiles;

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
    if (!shares_x<Cut>(tiles, tile)) {
      device::tma_load(to, x_map, full(slot), stage * kStep, tile.token);
      if constexpr (Cut::kExperts) {  // whose boxes serve both ways
        constexpr int kHalf = kTokens / kCluster;
        device::tma_load(to + kHalf * kStep, x_map, full(slot), stage * kStep, tile.token + kHalf);
      }
      return;
    }
    const int rows = static_cast<int>(device::cluster_rank()) * (kTokens / kCluster);
    device::tma_load_multicast(to + rows * kStep, x_map, full(slot), stage * kStep,
                               tile.token + rows, kBoth);
  }

  __device__ __forceinline__ void load_weight(const Tile& tile, int stage, int slot) const {
    const uint32_t to = device::shared_address(shared.weight[slot]);
    constexpr int kHalfBytes = Cut::kHalf * kStep;
    if (shares_x<Cut>(tiles, tile)) {
      for (int half = 0; half < 2; ++half)
        device::tma_load(to + half * kHalfBytes, weight_map, full(slot), stage * kStep,
                         first_row<Cut>(gemm.n, tile, half));
      return;
    }
    const int half = static_cast<int>(device::cluster_rank());
    device::tma_load_multicast(to + half * kHalfBytes, weight_map, full(slot), stage * kStep,
                               first_row<Cut>(gemm.n, tile, half), kBoth);
  }

  // Weights do not depend on the grids before: the ring is filled with them ahead of x. Which
  // expert's they are does.
  __device__ void run() const {
    const int clusters = static_cast<int>(gridDim.x) / kCluster;
    int index = static_cast<int>(blockIdx.x) / kCluster;
    const int ahead = Cut::kExperts ? 0 : min(Cut::kDepth, tiles.stages);
    Tile tile = {};
    if constexpr (!Cut::kExperts) tile = tile_at<Cut>(tiles, index);
    for (int stage = 0; stage < ahead; ++stage) {
      device::arrive_expecting(full(stage), Cut::kStageBytes);
      load_weight(tile, stage, stage);
    }
    device::wait_for_dependencies();
    for (int stage = 0; stage < ahead; ++stage) load_x(tile, stage, stage);
    const auto count = counter_of<Cut>(tiles);
    device::RingPosition at = {ahead % Cut::kDepth, ahead / Cut::kDepth};
    for (int stage = ahead; index < count(); index += clusters, stage = 0) {
      tile = tile_at<Cut>(tiles, index);
      if constexpr (Cut::kExperts) tile.column += tile.expert * gemm.n;  // of the stack
      if (index + clusters >= count()) device::launch_dependents();
      for (; stage < tiles.stages; ++stage, at.advance(Cut::kDepth)) {
        device::wait_barrier(device::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
        device::arrive_expecting(full(at.slot), Cut::kStageBytes);
        load_x(tile, stage, at.slot);
        load_weight(tile, stage, at.slot);
      }
    }
  }
};

}  // namespace octavo::cuda::large
