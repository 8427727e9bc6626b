// Tests of each core's loops: exact decoding, padding, and the tree that adds lanes.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backend/cpu/gemm_cores.h"
#include "core/checked.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

struct Aligned {
  explicit Aligned(int64_t bytes) : storage(allocate_host(bytes)) {
    std::memset(storage.get(), 0xFF, bytes);
  }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(storage.get());
  }
  std::shared_ptr<std::byte[]> storage;
};

float packed_value(const GemmCore& core, const std::byte* panel, int64_t index) {
  if (core.element_bytes == 2) return to_float(reinterpret_cast<const bf16*>(panel)[index]);
  return reinterpret_cast<const float*>(panel)[index];
}

TEST(GemmLoops, DecodesEveryE4M3CodeExactly) {
  std::vector<uint8_t> codes(256);
  for (int code = 0; code < 256; ++code) codes[code] = static_cast<uint8_t>(code);
  for (const GemmCore* core : cores()) {
    const Aligned panel(256 * core->element_bytes);
    const GemmRows rows{reinterpret_cast<std::byte*>(codes.data()), DType::kE4M3, 256, 1, 256};
    core->source(DType::kE4M3)->pack(rows, 1, panel.storage.get());
    for (int code = 0; code < 256; ++code) {
      const float expected = to_float(e4m3{codes[code]});
      const float value = packed_value(*core, panel.storage.get(), code);
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(value)) << to_string(core->level) << " code " << code;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(expected))
            << to_string(core->level) << " code " << code;
      }
    }
  }
}

TEST(GemmLoops, PackFillsTheLastStepAndMissingRowsWithZeros) {
  std::vector<uint8_t> codes(3 * 40, /*1.0=*/0x38);
  for (const GemmCore* core : cores()) {
    const int64_t panel_rows = 4;
    const int64_t depth = 33;
    const int64_t steps = ceil_div(depth, core->step);
    const Aligned panel(steps * panel_rows * core->step * core->element_bytes);
    const GemmRows rows{reinterpret_cast<std::byte*>(codes.data()), DType::kE4M3, 40, 3, depth};
    core->source(DType::kE4M3)->pack(rows, panel_rows, panel.storage.get());
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t row = 0; row < panel_rows; ++row) {
        for (int64_t i = 0; i < core->step; ++i) {
          const bool inside = row < rows.rows && step * core->step + i < depth;
          const int64_t index = (step * panel_rows + row) * core->step + i;
          EXPECT_EQ(packed_value(*core, panel.storage.get(), index), inside ? 1.0f : 0.0f);
        }
      }
    }
  }
}

TEST(GemmLoops, AddsLanesInTheFixedTree) {
  for (const GemmCore* core : cores()) {
    if (core->lanes == 1) continue;
    constexpr int64_t kSums = 11;
    const Aligned partial(kSums * core->lanes * static_cast<int64_t>(sizeof(float)));
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    float* lanes = partial.as<float>();
    for (int64_t i = 0; i < kSums * core->lanes; ++i) lanes[i] = normal(random);
    std::vector<float> sums(kSums);
    core->reduce(lanes, kSums, sums.data());
    for (int64_t index = 0; index < kSums; ++index) {
      std::vector<float> tree(lanes + index * core->lanes, lanes + (index + 1) * core->lanes);
      for (int64_t half = core->lanes / 2; half > 0; half /= 2) {
        for (int64_t i = 0; i < half; ++i) tree[i] += tree[i + half];
      }
      EXPECT_EQ(sums[index], tree[0]);
    }
  }
}

}  // namespace
}  // namespace octavo
