// What each rank holds and runs.
// SPDX-License-Identifier: Apache-2.0
#include "builder/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "model/tiny_moe.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using Shapes = SymbolicShape;

ModelConfig even_config() {
  ModelConfig config = tiny_config();
  config.vocab_size = 64;
  return config;
}

struct Sharded {
  Draft draft;
  WeightSlices slices;
};

Sharded sharded(const RankPlace& place, const ModelConfig& config = even_config()) {
  const ModelDir model = tiny_model(fp8_with_kv_cache(), config);
  Sharded result{.draft = draft_program(model, {})};
  result.slices = shard(result.draft, model_tensors(*model.architecture, config), config, place);
  return result;
}

const std::string kAttention = "model.layers.1.self_attn.", kMlp = "model.layers.1.mlp.";

TEST(Shard, HeadsAndIntermediateColumnsAreCut) {
  const Sharded rank = sharded({.tp_size = 2, .rank = 1});
  const auto slice = [&](const std::string& name) { return rank.slices.at(name); };
  EXPECT_EQ(slice(kAttention + "q_proj.weight"), (WeightSlice{0, 16, 16}));
  EXPECT_EQ(slice(kAttention + "k_proj.weight"), (WeightSlice{0, 8, 8}));
  EXPECT_EQ(slice(kAttention + "o_proj.weight"), (WeightSlice{1, 16, 16}));
  EXPECT_EQ(slice(kMlp + "gate_proj.weight"), (WeightSlice{0, 24, 24}));
  EXPECT_EQ(slice(kMlp + "down_proj.weight"), (WeightSlice{1, 24, 24}));
  EXPECT_EQ(slice("model.embed_tokens.weight"), (WeightSlice{0, 32, 32}));
  EXPECT_EQ(slice("lm_head.weight"), (WeightSlice{0, 32, 32}));
  EXPECT_FALSE(rank.slices.contains("model.norm.weight"));
  for (const auto& [name, value] : rank.slices) EXPECT_FALSE(name.ends_with("_scale")) << name;
}

TEST(Shard, EveryRowParallelLinearIsReducedAndLogitsAreGathered) {
  const Program program = sharded({.tp_size = 2}).draft.program;
  EXPECT_EQ(calls_of(program, Op::kAllReduce).size(), 1u + 2 * 2);  // embedding, o and down
  ASSERT_EQ(calls_of(program, Op::kAllGather).size(), 1u);
  EXPECT_EQ(program.tensor(program.outputs[0]).name, "logits");
  EXPECT_EQ(program.tensor(program.outputs[0]).shape[1], Dim::constant(64));
  const auto& attention = std::get<AttentionParams>(calls_of(program, Op::kAttention)[0]->params);
  EXPECT_EQ(attention.num_heads, 2);
  EXPECT_EQ(attention.num_kv_heads, 1);
  EXPECT_NO_THROW(validate(program));
}

// With 2 KV heads, ranks 0 and 1 hold the first, 2 and 3 the second.
TEST(Shard, KvHeadsAreRepeatedWhereRanksExceedThem) {
  for (int64_t rank = 0; rank < 4; ++rank) {
    const Sharded part = sharded({.tp_size = 4, .rank = rank});
    EXPECT_EQ(part.slices.at(kAttention + "v_proj.weight"), (WeightSlice{0, rank / 2 * 8, 8}));
    EXPECT_EQ(part.slices.at(kAttention + "q_proj.weight"), (WeightSlice{0, rank * 8, 8}));
  }
  EXPECT_EQ(kv_heads_of_rank(8, 4), 2);
  EXPECT_EQ(kv_heads_of_rank(2, 8), 1);
}

TEST(Shard, AVocabularyThatDoesNotDivideStaysWhole) {
  EXPECT_FALSE(shards_vocabulary(tiny_config(), 2));
  const Sharded rank = sharded({.tp_size = 2}, tiny_config());
  EXPECT_FALSE(rank.slices.contains("lm_head.weight"));
  EXPECT_TRUE(calls_of(rank.draft.program, Op::kAllGather).empty());
  EXPECT_EQ(calls_of(rank.draft.program, Op::kAllReduce).size(), 4u);
}

TEST(Shard, StagesHandOverTheHiddenState) {
  const Program first = sharded({.pp_size = 2}).draft.program;
  const Program last = sharded({.pp_size = 2, .rank = 1}).draft.program;
  ASSERT_EQ(calls_of(first, Op::kSend).size(), 1u);
  EXPECT_EQ(first.calls.back().op, Op::kSend);
  EXPECT_TRUE(first.outputs.empty());
  EXPECT_TRUE(calls_of(first, Op::kRecv).empty());
  EXPECT_EQ(last.calls.front().op, Op::kRecv);
  EXPECT_EQ(last.outputs.size(), 1u);
  EXPECT_EQ(last.find("cache.0.k"), kNoTensor);
  EXPECT_EQ(first.find("cache.1.k"), kNoTensor);
  EXPECT_EQ(last.find("model.embed_tokens.weight"), kNoTensor);
  const Program whole = sharded({}).draft.program;
  EXPECT_EQ(first.calls.size() + last.calls.size(), whole.calls.size() + 2);
}

TEST(Shard, BothAtOnce) {
  const Program program = sharded({.tp_size = 2, .pp_size = 2, .rank = 3}).draft.program;
  EXPECT_EQ(program.calls.front().op, Op::kRecv);
  EXPECT_EQ(calls_of(program, Op::kAllReduce).size(), 2u);
  EXPECT_EQ(calls_of(program, Op::kAllGather).size(), 1u);
}

// Every expert's intermediate columns are cut; the weighted sum of partial rows is what is reduced.
TEST(Shard, ExpertsAreCutAlikeAndReducedOnceAToken) {
  const ModelDir model = tiny_moe(fp8_with_kv_cache());
  Draft draft = draft_program(model, {});
  const WeightSlices slices = shard(draft, model_tensors(*model.architecture, model.config),
                                    model.config, {.tp_size = 2, .rank = 1});
  const int64_t half = model.config.intermediate_size / 2;
  for (const char* expert : {"0", "1"}) {
    const std::string at = fmt::format("model.layers.0.block_sparse_moe.experts.{}.", expert);
    EXPECT_EQ(slices.at(at + "w1.weight"), (WeightSlice{0, half, half}));
    EXPECT_EQ(slices.at(at + "w2.weight"), (WeightSlice{1, half, half}));
  }
  const Program& program = draft.program;
  const size_t layers = static_cast<size_t>(model.config.num_layers);
  const size_t of_embedding = shards_vocabulary(model.config, 2) ? 1 : 0;
  EXPECT_EQ(calls_of(program, Op::kAllReduce).size(), of_embedding + 2 * layers);
  for (size_t i = 0; i + 1 < program.calls.size(); ++i) {
    if (program.calls[i].op != Op::kCombine) continue;
    EXPECT_EQ(program.calls[i + 1].op, Op::kAllReduce);
  }
}

TEST(Shard, PartsThatAreNotEqualAreRefused) {
  try {
    sharded({.tp_size = 5});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("--tp_size 5"));
  }
}

// The one rule for scales: [1], [rows], [row blocks, column blocks].
TEST(Shard, AScaleIsCutExactlyWhereItFollowsTheAxis) {
  const Shape data = {512, 1024};
  const WeightSlice rows{.axis = 0, .begin = 128, .count = 256};
  const WeightSlice columns{.axis = 1, .begin = 512, .count = 512};
  EXPECT_EQ(slice_of_scale("s", {1}, data, rows), std::nullopt);
  EXPECT_EQ(slice_of_scale("s", {1}, data, columns), std::nullopt);
  EXPECT_EQ(slice_of_scale("s", {512}, data, rows), rows);
  EXPECT_EQ(slice_of_scale("s", {512}, data, columns), std::nullopt);
  EXPECT_EQ(slice_of_scale("s", {4, 8}, data, rows), (WeightSlice{0, 1, 2}));
  EXPECT_EQ(slice_of_scale("s", {4, 8}, data, columns), (WeightSlice{1, 4, 4}));
  const WeightSlice across{.axis = 0, .begin = 64, .count = 64};
  EXPECT_THROW(slice_of_scale("s", {4, 8}, data, across), Error);
}

}  // namespace
}  // namespace octavo
