// Text from the embedded model.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/llm.h"

#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

class LlmTest : public testing::Test {
 protected:
  SilentProgress silent_;
  LLM llm_{pocket_options(), small_runtime(), silent_};
};

TEST_F(LlmTest, OneCompletionAPromptInOrder) {
  const std::vector<std::string> prompts = {"The quick", "Once upon a time", "1 2 3"};
  const auto together = llm_.generate(prompts, greedy(6));
  ASSERT_EQ(together.size(), 3u);
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(together[i].prompt, prompts[i]);
    EXPECT_LE(together[i].token_ids.size(), 6u);
    EXPECT_TRUE(together[i].error.empty());
    const Completion alone = llm_.generate(std::vector{prompts[i]}, greedy(6)).front();
    EXPECT_EQ(alone.token_ids, together[i].token_ids) << i;
    EXPECT_EQ(alone.text, together[i].text) << i;
  }
}

TEST_F(LlmTest, StreamsTheTextItReturns) {
  std::vector<std::string> streamed(2);
  const auto completions =
      llm_.generate(std::vector<std::string>{"The", "A"}, greedy(12),
                    [&](size_t prompt, std::string_view text) { streamed[prompt] += text; });
  EXPECT_EQ(streamed[0], completions[0].text);
  EXPECT_EQ(streamed[1], completions[1].text);
}

TEST_F(LlmTest, IdsAreTakenAsTheyAre) {
  SamplingParams sampling = greedy(4);
  sampling.logprobs = 2;
  sampling.ignore_eos = true;
  const Completion completion =
      llm_.generate(std::vector<std::vector<int32_t>>{{0, 7, 9}}, sampling).front();
  EXPECT_EQ(completion.prompt_token_ids, (std::vector<int32_t>{0, 7, 9}));
  EXPECT_EQ(completion.finish_reason, "length");
  ASSERT_EQ(completion.logprobs.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(completion.logprobs[i].token, completion.token_ids[i]);
    ASSERT_EQ(completion.logprobs[i].top.size(), 2u);
    EXPECT_EQ(completion.logprobs[i].top[0].second, completion.logprobs[i].logprob);
  }
}

TEST_F(LlmTest, SeedsDecideWhatIsDrawn) {
  SamplingParams sampling = greedy(8);
  sampling.temperature = 1.0f;
  sampling.seed = 3;
  const std::vector<std::string> prompt = {"The"};
  const auto first = llm_.generate(prompt, sampling).front().token_ids;
  EXPECT_EQ(llm_.generate(prompt, sampling).front().token_ids, first);
  sampling.seed = 4;
  EXPECT_NE(llm_.generate(prompt, sampling).front().token_ids, first);
}

TEST_F(LlmTest, WhatCanNeverRunIsRefusedAndLeavesNothingBehind) {
  const std::vector<std::vector<int32_t>> prompts = {{0, 1, 2}, {0, 4096}};
  EXPECT_EQ(error_of([&] { llm_.generate(prompts, greedy(4)); }).category(), ErrorCategory::kUsage);
  const std::vector<std::vector<int32_t>> too_long = {std::vector<int32_t>(600, 5)};
  EXPECT_EQ(error_of([&] { llm_.generate(too_long, greedy(4)); }).category(),
            ErrorCategory::kUsage);
  EXPECT_EQ(llm_.generate(std::vector<std::vector<int32_t>>{{0, 5}}, greedy(2)).size(), 1u);
}

TEST_F(LlmTest, Moves) {
  LLM other = std::move(llm_);
  EXPECT_EQ(other.generate(std::vector<std::string>{"x"}, greedy(1)).size(), 1u);
}

}  // namespace
}  // namespace octavo
