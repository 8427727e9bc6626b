// Where the low-latency linear finds weights and puts outputs: whole problems, enumerated.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "backend/cuda/gemm/low_latency.h"

namespace octavo::testing {
namespace {

using cuda::LowLatencyConfig;
using cuda::LowLatencyCut;
using cuda::LowLatencyWork;

constexpr int64_t kZero = -1;  // outside of the tensor

// What a copy of the map's box at `place` brings, in the order in which it lies in shared memory
// but for the swizzle: offsets from the start of the tensor.
std::vector<int64_t> box_at(const cuda::TensorMapSpec& spec, const std::vector<int64_t>& place) {
  int64_t count = 1;
  for (int d = 0; d < spec.rank; ++d) count *= spec.box[d];
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = 0;
    bool inside = true;
    for (int d = 0; d < spec.rank; ++d) {
      const int64_t at = place[d] + rest % spec.box[d];
      rest /= spec.box[d];
      inside = inside && at < static_cast<int64_t>(spec.sizes[d]);
      offset += at * (d == 0 ? 1 : static_cast<int64_t>(spec.strides[d - 1]));
    }
    offsets.push_back(inside ? offset : kZero);
  }
  return offsets;
}

// The weights of one stage as the CTA's copies leave them: [steps][rows][128].
std::vector<int64_t> weights_of_stage(const cuda::TensorMapSpec& spec, const LowLatencyCut& cut,
                                      int first_row, int stage) {
  std::vector<int64_t> all;
  for (int i = 0; i < cut.copies; ++i) {
    const int step = stage * cut.config.steps;
    const bool whole = cut.copies == 1;
    std::vector<int64_t> place(spec.rank, 0);
    place[0] = whole ? 0 : (step + i) * cuda::kLowLatencyStep;
    place[1] = first_row;
    if (whole) place.back() = step;
    const std::vector<int64_t> part = box_at(spec, place);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_EQ(static_cast<int>(all.size()), cut.stage_bytes - cut.x_bytes);
  return all;
}

std::vector<LowLatencyConfig> some_cuts() {
  std::vector<LowLatencyConfig> cuts;
  for (const int rows : {8, 24, 64, 72, 128}) {
    for (const int steps : {2, 4, 8}) {
      cuts.push_back({.rows = rows, .steps = steps, .depth = 2, .passes = 3});
      for (const int split : {1, 2, 8})
        cuts.push_back({.rows = rows, .steps = steps, .split = split});
    }
  }
  return cuts;
}

// Calls `visit` for every tile of every CTA, with its rank.
template <typename Visit>
void for_each_tile(const LowLatencyCut& cut, const Visit& visit) {
  for (int cluster = 0; cluster < cut.tile_stride; ++cluster) {
    for (int rank = 0; rank < cut.config.split; ++rank) {
      const LowLatencyWork work(cut, cluster, rank);
      for (int tile = 0; tile < work.tiles; ++tile)
        visit(work, rank, work.first_tile + tile * cut.tile_stride);
    }
  }
}

// The row of the weight that lies in a slot of a tile; outside of the weight: kZero.
int64_t row_of_slot(int n, int rows, bool halves, int tile, int slot) {
  const int of_half = halves ? n / 2 : n;
  const int tall = halves ? rows / 2 : rows;
  const int row = tile * tall + slot % tall;
  return row < of_half ? slot / tall * of_half + row : kZero;
}

// Every code of the weight comes once, into the slot of its row: of [gate; up] a tile has as many
// rows of either, gate first.
void expect_every_code_once(int n, int k, const LowLatencyConfig& config, bool halves) {
  const int64_t stride = k + 32;
  const auto spec =
      halves
          ? cuda::low_latency_halves_map(nullptr, n / 2, k, stride, config.rows / 2, config.steps)
          : cuda::low_latency_map(nullptr, n, k, stride, config.rows, config.steps);
  const LowLatencyCut cut = cuda::low_latency_cut(8, n, k, config, false);
  std::map<int64_t, int> seen;
  int64_t misplaced = 0;
  for_each_tile(cut, [&](const LowLatencyWork& work, int, int tile) {
    for (int stage = work.first_stage; stage < work.first_stage + work.stages; ++stage) {
      const int first_row = tile * (halves ? config.rows / 2 : config.rows);
      const std::vector<int64_t> codes = weights_of_stage(spec, cut, first_row, stage);
      for (size_t i = 0; i < codes.size(); ++i) {
        const int slot = static_cast<int>(i) / cuda::kLowLatencyStep % config.rows;
        const int step = static_cast<int>(i) / cuda::kLowLatencyStep / config.rows;
        const int code = (stage * config.steps + step) * cuda::kLowLatencyStep +
                         static_cast<int>(i) % cuda::kLowLatencyStep;
        const int64_t row = row_of_slot(n, config.rows, halves, tile, slot);
        const int64_t expected = row == kZero || code >= k ? kZero : row * stride + code;
        misplaced += codes[i] != expected;
        if (codes[i] != kZero) ++seen[codes[i]];
      }
    }
  });
  EXPECT_EQ(misplaced, 0) << to_string(config) << " n " << n << " k " << k;
  EXPECT_EQ(static_cast<int64_t>(seen.size()), int64_t{n} * k) << to_string(config);
  for (const auto& [offset, count] : seen) ASSERT_EQ(count, 1) << offset;
}

TEST(LowLatencyLayout, EveryCodeComesOnceIntoTheSlotOfItsRow) {
  for (const LowLatencyConfig& config : some_cuts()) {
    for (const int k : {208, 1280}) {
      expect_every_code_once(74, k, config, /*halves=*/false);
      expect_every_code_once(74, k, config, /*halves=*/true);
      expect_every_code_once(256, k, config, /*halves=*/true);
      if (HasFailure()) return;
    }
  }
}

// Every output of every token is stored by one thread of one CTA.
void expect_every_output_once(int m, int n, const LowLatencyConfig& config, bool halves) {
  const LowLatencyCut cut = cuda::low_latency_cut(m, n, 4096, config, false);
  const int product_rows = cuda::kLowLatencyTileRows * (config.rows > 64 ? 2 : 1);
  const int outputs = halves ? n / 2 : n;
  const int tall = halves ? config.rows / 2 : config.rows;
  std::vector<int> stored(static_cast<size_t>(m) * outputs, 0);
  for_each_tile(cut, [&](const LowLatencyWork&, int rank, int tile) {
    for (unsigned thread = 0; thread < cuda::kLowLatencyConsumers; ++thread) {
      const cuda::LowLatencyShare share(halves ? product_rows / 2 : product_rows, thread, rank,
                                        config.split);
      const int column = tile * tall + share.slot;
      if (share.slot >= tall || column >= outputs) continue;
      EXPECT_LT(share.slot + (halves ? tall : 0), config.rows);  // the slot of up
      for (int token = share.first_token; token < m; token += share.token_step)
        ++stored[static_cast<size_t>(token) * outputs + column];
    }
  });
  for (size_t i = 0; i < stored.size(); ++i)
    ASSERT_EQ(stored[i], 1) << i << " " << to_string(config) << " m " << m;
}

TEST(LowLatencyLayout, EveryOutputIsStoredOnce) {
  for (const LowLatencyConfig& config : some_cuts()) {
    for (const int m : {1, 7, 32, 64}) {
      expect_every_output_once(m, 74, config, /*halves=*/false);
      expect_every_output_once(m, 74, config, /*halves=*/true);
      expect_every_output_once(m, 512, config, /*halves=*/true);
    }
  }
}

// What is chosen for the gate and up of real models, and what may be measured.
TEST(LowLatencyLayout, CutsOfModelsAreWhole) {
  for (const auto& [n, k] : {std::pair{28672, 4096}, {14336, 8192}, {7168, 2048}, {352, 128}}) {
    for (const int m : {1, 32, 64}) {
      for (const LowLatencyConfig& config : cuda::low_latency_candidates(m, n, k, 132))
        expect_every_output_once(m, n, config, /*halves=*/true);
    }
  }
}

// A copy moves whole rows of 128 bytes to multiples of 1 KiB: what the swizzle asks for. The halves
// are dense planes of the same rows.
TEST(LowLatencyLayout, BoxesFitTheSwizzle) {
  const auto spec = cuda::low_latency_halves_map(nullptr, 14336, 4096, 4096, 56, 4);
  EXPECT_EQ(spec.rank, 4);
  EXPECT_EQ(spec.box[0], 128u);
  EXPECT_EQ(spec.box[1] * spec.box[2] * 128 % 1024, 0u);
  EXPECT_EQ(spec.strides[1], 14336u * 4096);
  EXPECT_EQ(spec.strides[2], 128u);
  EXPECT_EQ(spec.sizes[3], 32u);
  for (const uint32_t side : spec.box) EXPECT_LE(side, 256u);
}

}  // namespace
}  // namespace octavo::testing
