// Steps over a real model: chunks, slots, blocks and neighbours change no number.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/tiny_runner.h"

namespace octavo {
namespace {

using testing::HasSubstr;

const SamplingParams kGreedy;

class RunnerTest : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<Runner> runner(RunnerOptions options = {.num_blocks = 64}) {
    return std::make_unique<Runner>(image_, cpu_registry(), device_, options);
  }

  std::shared_ptr<EngineImage> image_ =
      tiny_image(GetParam() ? fp8_with_kv_cache() : CheckpointQuantization{});
  ThreadPool pool_{2};
  HostDevice device_{pool_};
};

// Feeds `ids` in pieces into the runner's slot and blocks, then generates greedily.
struct Feed {
  std::vector<int32_t> ids;
  std::vector<int64_t> pieces;  // tokens of each step; their sum is ids.size()
  int32_t slot = 0;
  std::vector<int32_t> blocks;
};

StepSequence piece_of(const Feed& feed, size_t step, int64_t done, int64_t outputs) {
  StepSequence sequence{.slot = feed.slot, .blocks = feed.blocks, .sampling = &kGreedy};
  sequence.first_position = static_cast<int32_t>(done);
  if (step < feed.pieces.size()) {
    const auto first = feed.ids.begin() + done;
    sequence.tokens = {first, first + feed.pieces[step]};
    sequence.num_tokens = static_cast<int32_t>(feed.pieces[step]);
    sequence.sample = step + 1 == feed.pieces.size();
  } else {
    sequence.num_tokens = 1;
    sequence.sample = true;
    sequence.output_index = outputs;
  }
  return sequence;
}

// Runs all feeds in the same steps; the tokens that each generated.
std::vector<std::vector<int32_t>> generate(Runner& runner, const std::vector<Feed>& feeds,
                                           size_t steps) {
  std::vector<std::vector<int32_t>> outputs(feeds.size());
  std::vector<int64_t> done(feeds.size());
  for (size_t i = 0; i < steps; ++i) {
    Step step{.id = static_cast<int64_t>(i)};
    std::vector<size_t> sampled;
    for (size_t f = 0; f < feeds.size(); ++f) {
      step.sequences.push_back(piece_of(feeds[f], i, done[f], std::ssize(outputs[f])));
      done[f] += step.sequences.back().num_tokens;
      step.num_tokens += step.sequences.back().num_tokens;
      if (step.sequences.back().sample) sampled.push_back(f);
    }
    runner.launch(step);
    const StepResult result = runner.wait();
    EXPECT_EQ(result.id, step.id);
    EXPECT_EQ(result.tokens.size(), sampled.size());
    for (size_t k = 0; k < sampled.size(); ++k)
      outputs[sampled[k]].push_back(result.tokens[k].token);
  }
  return outputs;
}

// The tokens that the logits of whole sequences ask for.
std::vector<int32_t> greedy(Runner& runner, std::vector<int32_t> ids, size_t count) {
  std::vector<int32_t> tokens;
  while (tokens.size() < count) {
    const std::vector<float> last = logits_of(runner, ids).back();
    tokens.push_back(static_cast<int32_t>(std::ranges::max_element(last) - last.begin()));
    ids.push_back(tokens.back());
  }
  return tokens;
}

TEST_P(RunnerTest, ChunksOfAnySizeGiveTheSameLogits) {
  const std::vector<int32_t> ids = tiny_ids(29);
  const Rows whole = logits_of(*runner(), ids);
  ASSERT_EQ(whole.size(), ids.size());
  ASSERT_EQ(whole[0].size(), 61u);
  for (const int64_t tokens : {1, 3, 7, 28}) {
    EXPECT_EQ(logits_of(*runner({.max_num_tokens = tokens, .num_blocks = 8}), ids), whole)
        << tokens;
  }
}

TEST_P(RunnerTest, EarlierPositionsDoNotSeeLaterOnes) {
  const auto one = runner();
  const Rows whole = logits_of(*one, tiny_ids(20));
  const Rows prefix = logits_of(*one, tiny_ids(11));
  EXPECT_TRUE(std::equal(prefix.begin(), prefix.end(), whole.begin()));
}

TEST_P(RunnerTest, StepsGenerateWhatTheLogitsSay) {
  const auto one = runner();
  const std::vector<int32_t> expected = greedy(*one, tiny_ids(9), 4);
  const Feed at_once = {tiny_ids(9), {9}, 0, {0, 1, 2, 3}};
  const Feed in_pieces = {tiny_ids(9), {4, 1, 3, 1}, 3, {9, 2, 40, 11}};
  EXPECT_EQ(generate(*one, {at_once}, 4)[0], expected);
  EXPECT_EQ(generate(*one, {in_pieces}, 7)[0], expected);
}

TEST_P(RunnerTest, NeighboursDoNotMatter) {
  const auto one = runner();
  const std::vector<Feed> feeds = {{tiny_ids(9), {9}, 1, {7, 5, 3, 1}},
                                   {tiny_ids(5, 30), {2, 3}, 0, {0, 2, 4}},
                                   {tiny_ids(13, 44), {6, 1, 6}, 2, {20, 21, 22, 23, 24}}};
  const auto together = generate(*one, feeds, 5);
  for (size_t i = 0; i < feeds.size(); ++i) {
    EXPECT_EQ(together[i], generate(*one, {feeds[i]}, 5)[0]) << i;
    EXPECT_EQ(together[i], greedy(*one, feeds[i].ids, together[i].size())) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, RunnerTest, testing::Bool(),
                         [](const auto& param) { return param.param ? "fp8" : "bfloat16"; });

class RunnerLimits : public RunnerTest {};

TEST_P(RunnerLimits, PoolAndLengthAreEnforced) {
  const auto small = runner({.num_blocks = 3});
  EXPECT_EQ(small->num_blocks(), 3);
  EXPECT_EQ(small->kv_pool_bytes(), 3 * 4 * image_->config.kv_bytes_per_token());
  EXPECT_NO_THROW(logits_of(*small, tiny_ids(12)));
  EXPECT_THROW(logits_of(*small, tiny_ids(13)), Error);
  EXPECT_THROW(logits_of(*runner(), tiny_ids(65)), Error);
  // By default as many blocks as a full batch needs, memory allowing.
  EXPECT_EQ(runner({})->num_blocks(), 4 * 16);
}

TEST_P(RunnerLimits, WhatDoesNotFitInMemorySaysHowMuch) {
  try {
    runner({.num_blocks = int64_t{1} << 50});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kOutOfMemory);
    EXPECT_THAT(error.what(), HasSubstr("the KV cache needs "));
  }
}

TEST_P(RunnerLimits, KernelsAndWeightsMustBeThere) {
  image_->plans[0].kernels[3] = "no_such_kernel";
  try {
    runner();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("\"no_such_kernel\""));
  }
  // A kernel of another op: the machine's own choice takes over.
  image_->plans[0].kernels[3] = image_->plans[0].kernels[0];
  EXPECT_NO_THROW(runner());
  image_->weights.pop_back();
  EXPECT_THROW(runner(), Error);
}

// Slots come from the config and the caches from the Program: both must mean the same blocks.
TEST_P(RunnerLimits, CachesMustBeThoseOfTheConfig) {
  for (int64_t EngineConfig::*field :
       {&EngineConfig::tokens_per_block, &EngineConfig::num_kv_heads, &EngineConfig::head_dim}) {
    const auto edited = std::make_shared<EngineImage>(*image_);
    edited->config.*field *= 2;
    EXPECT_THROW(Runner(edited, cpu_registry(), device_, {.num_blocks = 8}), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, RunnerLimits, testing::Values(false));

}  // namespace
}  // namespace octavo
