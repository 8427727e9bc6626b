// Tests of what each instruction set provides: exact decoding and one order of summation.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

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

std::vector<const GemmCore*> cores() {
  std::vector<const GemmCore*> found;
#if OCTAVO_X86_64
  for (const GemmCore* core : {&kGemmAvx512Bf16, &kGemmAvx512, &kGemmAvx2}) {
    if (cpu_level() >= core->level) found.push_back(core);
  }
#endif
  return found;
}

float packed_value(const GemmCore& core, const std::byte* panel, int64_t index) {
  if (core.element_bytes == 2) return to_float(reinterpret_cast<const bf16*>(panel)[index]);
  return reinterpret_cast<const float*>(panel)[index];
}

TEST(Gemm, DecodesEveryE4M3CodeExactly) {
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

TEST(Gemm, PackFillsTheLastStepAndMissingRowsWithZeros) {
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

// One problem of random E4M3 codes, none of them NaN.
struct Codes {
  Codes(int64_t rows, int64_t depth) : bytes(rows * depth), rows(rows), depth(depth) {
    std::mt19937 random(static_cast<uint32_t>(rows * 131 + depth));
    for (uint8_t& byte : bytes) {
      byte = static_cast<uint8_t>(random());
      if (is_nan(e4m3{byte})) byte = 0;
    }
  }
  GemmRows view() {
    return {reinterpret_cast<std::byte*>(bytes.data()), DType::kE4M3, depth, rows, depth};
  }
  std::vector<uint8_t> bytes;
  int64_t rows;
  int64_t depth;
};

std::vector<float> multiply(const GemmCore& core, const GemmRows& x, const GemmRows& weight,
                            ThreadPool* pool) {
  std::vector<std::byte> workspace(gemm_workspace(core, x.rows, x.depth));
  std::vector<float> y(x.rows * weight.rows, NAN);
  const GemmOutput output = [&](int64_t row, int64_t column, std::span<float> sums) {
    std::copy(sums.begin(), sums.end(), y.begin() + row * weight.rows + column);
  };
  gemm(core, x, weight, output, workspace, pool);
  return y;
}

// Depths below, at and beyond the chunk of K; rows and columns beyond one block.
TEST(Gemm, RowAloneEqualsRowAmongOthersBitForBit) {
  for (const GemmCore* core : cores()) {
    for (const int64_t depth : {1, 31, 512, 1024, 1025, 3077}) {
      Codes x(101, depth);
      Codes weight(43, depth);
      const std::vector<float> all = multiply(*core, x.view(), weight.view(), nullptr);
      for (const int64_t begin : {0, 1, 50, 98}) {
        for (const int64_t count : {1, 2, 3}) {
          const std::vector<float> part =
              multiply(*core, x.view().slice_rows(begin, count), weight.view(), nullptr);
          EXPECT_EQ(std::memcmp(part.data(), all.data() + begin * weight.rows,
                                part.size() * sizeof(float)),
                    0)
              << to_string(core->level) << " depth " << depth << " rows " << begin << "+" << count;
        }
      }
    }
  }
}

TEST(Gemm, ThreadsDoNotChangeTheResult) {
  Codes weight(301, 700);
  for (const GemmCore* core : cores()) {
    for (const int64_t rows : {1, 200}) {
      Codes x(rows, 700);
      const std::vector<float> alone = multiply(*core, x.view(), weight.view(), nullptr);
      for (const int threads : {1, 2, 4}) {
        ThreadPool pool(threads);
        const std::vector<float> y = multiply(*core, x.view(), weight.view(), &pool);
        EXPECT_EQ(std::memcmp(y.data(), alone.data(), y.size() * sizeof(float)), 0)
            << to_string(core->level) << " " << threads << " threads";
      }
    }
  }
}

TEST(Gemm, AddsLanesInTheFixedTree) {
  for (const GemmCore* core : cores()) {
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
