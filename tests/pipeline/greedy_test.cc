// Greedy tokens do not depend on batch, chunks, threads, schedule, cache or file round trips.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "pipeline/pipeline_case.h"

namespace octavo {
namespace {

TEST(Greedy, MatchesTheReferenceTokenForToken) {
  ModelOptions model = model_options(kModelDir);
  model.build_config.dtype = "float32";
  SilentProgress silent;
  LLM llm(model, {}, silent);
  const nlohmann::json entries = greedy_reference();
  ASSERT_FALSE(entries.empty());
  for (const nlohmann::json& entry : entries) {
    const auto expected = entry["ids"].get<TokenIds>();
    const std::string prompt = entry["prompt"];
    const SamplingParams sampling{.max_tokens = static_cast<int64_t>(expected.size())};
    const Completion got = llm.generate(std::vector<std::string>{prompt}, sampling).front();
    TokenIds all = got.prompt_token_ids;
    all.insert(all.end(), got.token_ids.begin(), got.token_ids.end());
    ASSERT_GE(all.size(), expected.size()) << prompt;
    all.resize(expected.size());
    EXPECT_EQ(all, expected) << prompt;
  }
}

// The 16-bit model, and FP8 with an FP8 cache.
class GreedyOf : public testing::TestWithParam<bool> {
 protected:
  ModelOptions model(int threads = 0) const {
    return model_options(GetParam() ? quantized_dir() : kModelDir, threads);
  }
};

TEST_P(GreedyOf, AloneAndAmongSixtyThreeOthers) {
  const std::vector<TokenIds> all = prompts(64);
  const std::vector<TokenIds> together = greedy(model(), all);
  for (const size_t i : {size_t{0}, size_t{17}, size_t{63}}) {
    EXPECT_EQ(greedy(model(), {all[i]}).front(), together[i]) << "prompt " << i;
  }
}

TEST_P(GreedyOf, ThreadsDoNotMatter) {
  const std::vector<TokenIds> one = greedy(model(1), prompts(5));
  EXPECT_EQ(greedy(model(2), prompts(5)), one);
  EXPECT_EQ(greedy(model(4), prompts(5)), one);
}

TEST_P(GreedyOf, ChunksOfThePrefillDoNotMatter) {
  const std::vector<TokenIds> some = prompts(9);
  const std::vector<TokenIds> whole = greedy(model(), some);
  for (const int64_t tokens : {7, 64}) {
    EXPECT_EQ(greedy(model(), some, {.max_num_tokens = tokens}), whole)
        << tokens << " tokens a step";
  }
}

TEST_P(GreedyOf, DepthOfTheScheduleDoesNotMatter) {
  const std::vector<TokenIds> in_step = greedy(model(), prompts(6), {.depth = 0});
  EXPECT_EQ(greedy(model(), prompts(6), {.depth = 1}), in_step);
  EXPECT_EQ(greedy(model(), prompts(6), {.depth = 2}), in_step);
}

TEST_P(GreedyOf, TightCacheAndPolicyDoNotMatter) {
  const std::vector<TokenIds> some = prompts(12);
  const std::vector<TokenIds> roomy = greedy(model(), some, {}, 40);
  for (const char* policy : {"guaranteed_no_evict", "max_utilization"}) {
    RuntimeOptions tight{.scheduler_policy = policy};
    tight.kv_cache_config.max_tokens = 8 * 32;  // two or three sequences at once
    EXPECT_EQ(greedy(model(), some, tight, 40), roomy) << policy;
  }
}

TEST_P(GreedyOf, ReusedBlocksDoNotMatter) {
  std::vector<TokenIds> same(4, prompts(1, 3).front());
  for (TokenIds& ids : same) {
    for (int32_t i = 0; i < 70; ++i) ids.push_back(100 + i);
  }
  RuntimeOptions without, with;
  without.kv_cache_config.enable_block_reuse = false;
  with.kv_cache_config.enable_block_reuse = true;
  with.max_batch_size = 1;  // the second request finds the first one's blocks
  EXPECT_EQ(greedy(model(), same, with), greedy(model(), same, without));
}

TEST_P(GreedyOf, EngineDirectoryEqualsBuildInMemory) {
  const std::filesystem::path engine = scratch_dir() / (GetParam() ? "engine_fp8" : "engine_bf16");
  SilentProgress silent;
  build({.checkpoint_dir = model().model_dir, .output_dir = engine, .config = small_build()},
        silent);
  EXPECT_EQ(greedy({.engine_dir = engine}, prompts(5)), greedy(model(), prompts(5)));
}

INSTANTIATE_TEST_SUITE_P(Precision, GreedyOf, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Fp8" : "Bf16"; });

}  // namespace
}  // namespace octavo
