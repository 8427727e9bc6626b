// Greedy rows, by the kernel of their own and by the one for any row; broken logits.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>

#include "backend/cuda/device_sampler.h"

namespace octavo::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr SamplingKernel kBoth[] = {SamplingKernel::kGreedy, SamplingKernel::kAny};

TEST(Greedy, TakesTheLowestIndexOfTheMaximum) {
  OCTAVO_REQUIRE_DEVICE();
  for (const SamplingKernel kernel : kBoth) {
    const auto token = [&](const std::vector<float>& logits) {
      return device_draw(logits, {}, 0, {}, 0, kernel).token;
    };
    EXPECT_EQ(token({1, 5, 3, 5}), 1);
    EXPECT_EQ(token({-3, -1, -2}), 1);
    EXPECT_EQ(token({-0.0f, 0.0f}), 0);
    EXPECT_EQ(token({7}), 0);
    for (const size_t size : {1000u, 8192u, 8193u, 128256u}) {
      std::vector<float> logits(size, 2);
      EXPECT_EQ(token(logits), 0);
      logits[size - 1] = 3;
      EXPECT_EQ(token(logits), static_cast<int32_t>(size - 1));
      logits[size / 3] = 3;
      EXPECT_EQ(token(logits), static_cast<int32_t>(size / 3));
    }
  }
}

TEST(Greedy, BrokenLogitsAreNumericalErrors) {
  OCTAVO_REQUIRE_DEVICE();
  for (const SamplingKernel kernel : kBoth) {
    for (const SamplingParams& params : {SamplingParams{}, SamplingParams{.temperature = 1}}) {
      if (kernel == SamplingKernel::kGreedy && !is_greedy(params)) continue;
      const auto draw = [&](const std::vector<float>& logits) {
        return device_draw(logits, params, 0, {}, 0, kernel);
      };
      for (const size_t size : {40u, 9000u}) {
        for (const size_t place : {size_t{0}, size_t{17}, size - 1}) {
          std::vector<float> logits(size, 1);
          for (const float bad : {kNan, -kNan, kInf}) {
            logits[place] = bad;
            EXPECT_TRUE(draw(logits).numerical_error);
            EXPECT_EQ(draw(logits).token, 0);
          }
          logits[place] = -kInf;  // a mask
          EXPECT_FALSE(draw(logits).numerical_error);
          EXPECT_NE(draw(logits).token, static_cast<int32_t>(place));
        }
        EXPECT_TRUE(draw(std::vector<float>(size, -kInf)).numerical_error);
      }
      EXPECT_FALSE(draw({0, 0}).numerical_error);
    }
  }
}

TEST(Greedy, BothKernelsAgree) {
  OCTAVO_REQUIRE_DEVICE();
  constexpr int32_t kVocab = 1003;
  Values values(12);
  for (const int32_t num_rows : {1, 3, 67, 133, 265, 529}) {
    std::vector<float> logits(static_cast<size_t>(num_rows) * kVocab);
    for (float& x : logits) x = static_cast<float>(values.below(500));
    std::vector<int32_t> end_ids;
    std::vector<SamplingRow> rows;
    for (int32_t i = 0; i < num_rows; ++i)
      rows.push_back(row_of({}, i % 5 == 2 ? -1 : i, 0, end_ids));
    EXPECT_TRUE(only_greedy(rows));
    DeviceSampler first(num_rows, kVocab), second(num_rows, kVocab);
    first.step(logits, kVocab, rows, end_ids, SamplingKernel::kGreedy);
    second.step(logits, kVocab, rows, end_ids, SamplingKernel::kAny);
    EXPECT_EQ(first.last_tokens(), second.last_tokens());
    for (int32_t i = 0; i < num_rows; ++i) {
      const auto begin = logits.begin() + static_cast<int64_t>(i) * kVocab;
      const auto place = std::max_element(begin, begin + kVocab) - begin;
      EXPECT_EQ(first.last_tokens()[static_cast<size_t>(i)], i % 5 == 2 ? -7 : place);
    }
  }
  std::vector<int32_t> end_ids;
  EXPECT_FALSE(only_greedy(std::vector{row_of({.temperature = 1}, 0, 0, end_ids)}));
}

}  // namespace
}  // namespace octavo::testing
