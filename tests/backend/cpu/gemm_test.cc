// Tests of blocked matrix multiplication: one order of summation for any rows and threads.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backend/cpu/gemm_cores.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

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
      // More rows than a block of any core where that is quick.
      const int64_t x_rows = depth == 31 ? 530 : 101;
      Codes x(x_rows, depth);
      Codes weight(43, depth);
      const std::vector<float> all = multiply(*core, x.view(), weight.view(), nullptr);
      for (const int64_t begin : {int64_t{0}, int64_t{1}, int64_t{50}, x_rows - 19}) {
        for (const int64_t count : {1, 2, 3, 17}) {
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
    for (const int64_t rows : {1, 200, 600}) {
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

}  // namespace
}  // namespace octavo
