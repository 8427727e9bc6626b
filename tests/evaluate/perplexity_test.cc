// The perplexity protocol.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "runtime/tiny_runner.h"

namespace octavo {
namespace {

std::vector<int32_t> numbers(int32_t count) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(Windows, NeighboursShareOneTokenAndEveryTokenButTheFirstIsPredictedOnce) {
  const std::vector<int32_t> stream = numbers(11);
  const auto windows = windows_of(stream, 5, 0);
  ASSERT_EQ(windows.size(), 2u);
  std::vector<int32_t> predicted;
  for (const auto window : windows) {
    ASSERT_EQ(window.size(), 6u);
    predicted.insert(predicted.end(), window.begin() + 1, window.end());
  }
  EXPECT_EQ(windows[0].back(), windows[1].front());
  EXPECT_EQ(predicted, std::vector<int32_t>(stream.begin() + 1, stream.end()));
}

TEST(Windows, AnIncompleteLastOneIsDroppedAndMaxTokensCutsFirst) {
  const std::vector<int32_t> stream = numbers(15);
  EXPECT_EQ(windows_of(stream, 5, 0).size(), 2u);
  EXPECT_EQ(windows_of(stream, 5, 11).size(), 2u);
  EXPECT_EQ(windows_of(stream, 5, 10).size(), 1u);
  EXPECT_EQ(windows_of(stream, 14, 100).size(), 1u);
  EXPECT_THROW(windows_of(stream, 15, 0), Error);
  EXPECT_THROW(windows_of(stream, 5, 5), Error);
}

TEST(TokenStream, EachDocumentWithItsBosAndEos) {
  const Tokenizer tokenizer = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/pocket-llama");
  std::vector<int32_t> expected;
  for (const char* text : {"one", "two words"}) {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids.front(), tokenizer.bos_id());
    expected.insert(expected.end(), ids.begin(), ids.end());
    expected.push_back(1);
  }
  EXPECT_EQ(token_stream(tokenizer, {"one", "two words"}, 1), expected);
  EXPECT_EQ(token_stream(tokenizer, {"one"}, -1), tokenizer.encode("one"));
}

TEST(LogSumExp, SmallAndLargeLogits) {
  EXPECT_DOUBLE_EQ(log_sum_exp(std::vector<float>{0.0f, 0.0f, 0.0f, 0.0f}), std::log(4.0));
  EXPECT_DOUBLE_EQ(log_sum_exp(std::vector<float>{1000.0f, 1000.0f}), 1000.0 + std::log(2.0));
  EXPECT_DOUBLE_EQ(log_sum_exp(std::vector<float>{-1e30f, 2.0f}), 2.0);
}

TEST(Perplexity, IsTheExponentOfTheMeanLoss) {
  ThreadPool pool(1);
  HostDevice device(pool);
  Runner runner(tiny_image(), cpu_registry(), device, {});
  const std::vector<int32_t> stream = tiny_ids(20);
  std::vector<std::pair<int64_t, int64_t>> heard;
  const Perplexity result =
      measure_perplexity(runner, stream, {.context = 6, .progress = [&](int64_t done, int64_t all) {
                                            heard.emplace_back(done, all);
                                          }});
  double total = 0.0;
  for (size_t begin = 0; begin < 18; begin += 6) {
    const std::vector<int32_t> window(stream.begin() + static_cast<int64_t>(begin),
                                      stream.begin() + static_cast<int64_t>(begin) + 6);
    const Rows rows = logits_of(runner, window);
    for (size_t i = 0; i < 6; ++i) {
      const auto next = static_cast<size_t>(stream[begin + i + 1]);
      total += log_sum_exp(rows[i]) - static_cast<double>(rows[i][next]);
    }
  }
  EXPECT_EQ(result.tokens, 18);
  EXPECT_EQ(result.windows, 3);
  EXPECT_NEAR(result.mean_nll, total / 18, 1e-12);
  EXPECT_NEAR(result.value(), std::exp(total / 18), 1e-9);
  EXPECT_EQ(heard, (std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {2, 3}, {3, 3}}));
}

}  // namespace
}  // namespace octavo
