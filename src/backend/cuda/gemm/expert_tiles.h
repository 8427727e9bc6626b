// Tiles of experts' rows for the FP8 linear of many tokens; on the host alike, for tests.
// SPDX-License-Identifier: Apache-2.0
//
// Part of sm90_fp8_gemm_tiles.cuh.
#pragma once

#include "backend/cuda/device/expert_rows.cuh"

namespace octavo::cuda::large {

inline constexpr int kTokens = 128;  // of a tile
inline constexpr int kCluster = 2;
inline constexpr int kBandTokens = 2048;  // tiles of these are worked on together: x stays in L2

struct ExpertTile {
  int token;   // first
  int column;  // first, of y; past the last one there is nothing to store
  int end;     // one past the expert's last token
  int expert;
  bool share_x;  // the clusters' CTAs have neighbouring columns, else neighbouring tokens
};

// The tiles of an expert's rows, two at a time, share weights; one that is left over is made by
// both CTAs of a cluster, for neighbouring columns. So no more rows are multiplied than fill a
// tile, and experts without rows have no tiles. What offsets say is known on the device alone.
struct ExpertTiles {
  const int32_t* offsets;  // [experts + 1]
  int experts;
  int outputs;       // columns of y of a tile
  int narrow, wide;  // such tiles, and pairs of them, that have all columns
  int stages;

  // Of y's columns; the rest is left to the caller.
  static ExpertTiles of(int columns, int outputs) {
    return {.outputs = outputs,
            .narrow = divide(columns, outputs),
            .wide = divide(columns, outputs * kCluster)};
  }
  __host__ __device__ static int divide(int a, int b) { return (a + b - 1) / b; }

  // Units of clusters that an expert's rows make.
  __host__ __device__ int units(int rows) const {
    const int tiles = divide(rows, kTokens);
    return tiles / kCluster * narrow + tiles % kCluster * wide;
  }
  __host__ __device__ int count() const {
    int sum = 0;
    for (int expert = 0; expert < experts; ++expert)
      sum += units(offsets[expert + 1] - offsets[expert]);
    return sum;
  }

  // For the CTA of that rank in the cluster. Down a band of tokens first, then along the weights.
  __host__ __device__ ExpertTile at(int index, int rank) const {
    device::ExpertWalk walk = {offsets, experts};
    walk.find(index, [this](int rows) { return units(rows); });
    const int pairs = divide(walk.rows(), kTokens) / kCluster;
    int within = index - walk.first;
    if (within >= pairs * narrow) {
      const int column = (within - pairs * narrow) * kCluster + rank;
      return {walk.begin() + pairs * kCluster * kTokens, column * outputs, walk.end(), walk.expert,
              true};
    }
    constexpr int kBand = kBandTokens / (kCluster * kTokens);
    const int first = within / (kBand * narrow) * kBand;
    const int height = pairs - first < kBand ? pairs - first : kBand;
    within -= first * narrow;
    const int token = (first + within % height) * kCluster + rank;
    return {walk.begin() + token * kTokens, within / height * outputs, walk.end(), walk.expert,
            false};
  }
};

}  // namespace octavo::cuda::large
