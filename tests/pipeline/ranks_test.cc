// Several ranks are the same model: stages bit for bit, tensor parallel ranks but for the order of
// their sums.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/ranks_case.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class Ranks : public testing::TestWithParam<RanksCase> {};

TEST_P(Ranks, StagesAreBitEqualAndTensorParallelRanksWithinTheBoundOfTheirSums) {
  const ModelDir model = model_of(GetParam());
  const Logits one = logits_of(model, 1, 1);
  EXPECT_EQ(logits_of(model, 1, 2), one);
  double bound = 0;
  for (const unsigned seed : {1u, 2u})
    bound = std::max(bound,
                     largest_difference(logits_of(with_changed_products(model, seed), 1, 1), one));
  // A bound that lets everything pass shows nothing.
  EXPECT_LT(bound, (GetParam().linears.quantized() ? 0.5 : 0.05) * spread(one));
  for (const auto& [tp, pp] : {std::pair{2, 1}, {4, 1}, {2, 2}}) {
    const double difference = largest_difference(logits_of(model, tp, pp), one);
    EXPECT_LE(difference, bound) << "TP " << tp << ", PP " << pp;
    EXPECT_GT(difference, 0) << "the order of summation changed nothing";
    RecordProperty(fmt::format("difference_tp{}_pp{}", tp, pp), fmt::format("{:.3g}", difference));
  }
  const RanksRun fused{.reduce_fusion = true, .user_buffer = true};
  RanksRun sharded = fused;
  sharded.sharded = true;
  for (const auto& [tp, pp] : {std::pair{2, 1}, {4, 1}, {2, 2}}) {
    const Logits unfused = logits_of(model, tp, pp);
    EXPECT_EQ(logits_of(model, tp, pp, fused), unfused) << "TP " << tp << ", PP " << pp;
    EXPECT_EQ(logits_of(model, tp, pp, sharded), unfused) << "TP " << tp << ", PP " << pp;
  }
  RecordProperty("bound", fmt::format("{:.3g}", bound));
}

INSTANTIATE_TEST_SUITE_P(
    Models, Ranks,
    testing::Values(RanksCase{"PocketLlamaFloat32", RankedModel::kPocketLlama},
                    RanksCase{"PocketLlamaFp8", RankedModel::kPocketLlama, kFp8Linear},
                    RanksCase{"Tiny70bFloat32", RankedModel::kTiny70b},
                    RanksCase{"Tiny70bFp8", RankedModel::kTiny70b, kFp8Linear},
                    RanksCase{"Tiny70bFp8Block", RankedModel::kTiny70b, kFp8Block},
                    RanksCase{"Tiny70bInt4", RankedModel::kTiny70b, kInt4WeightOnly},
                    RanksCase{"TinyMoeFloat32", RankedModel::kTinyMoe},
                    RanksCase{"TinyMoeFp8", RankedModel::kTinyMoe, kFp8Linear},
                    RanksCase{"TinyMoeFp8Block", RankedModel::kTinyMoe, blocks_of(4)}),
    [](const testing::TestParamInfo<RanksCase>& info) { return info.param.name; });

// 3584 intermediate columns are 28 blocks: an eighth of them ends within one.
TEST(Ranks, APartThatCutsABlockIsRefusedWithTheLegalSizes) {
  try {
    logits_of(model_of({"", RankedModel::kTiny70b, kFp8Block}), 8, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("--tp_size 8"));
    EXPECT_THAT(error.what(), HasSubstr("legal sizes: 1, 2, 4"));
    EXPECT_THAT(error.what(), HasSubstr("block of 128"));
  }
}

// Several sequences of different lengths, block reuse and all: the scheduler knows of no ranks.
TEST(RankTokens, StagesAndEngineFilesGiveTheTokensOfOneRank) {
  const std::vector<TokenIds> some = prompts(9);
  ModelOptions model = model_options(quantized_dir(), 2);
  const std::vector<TokenIds> one = greedy(model, some);
  model.build_config.pp_size = 3;
  EXPECT_EQ(greedy(model, some), one);
  const std::filesystem::path engine = scratch_dir() / "engine_2x2";
  model.build_config.pp_size = model.build_config.tp_size = 2;
  SilentProgress silent;
  build({.checkpoint_dir = quantized_dir(), .output_dir = engine, .config = model.build_config},
        silent);
  for (int rank = 0; rank < 4; ++rank)
    EXPECT_TRUE(std::filesystem::exists(engine / fmt::format("rank{}.engine", rank)));
  EXPECT_EQ(greedy({.engine_dir = engine, .threads = 2}, some), greedy(model, some));
}

TEST(RankTokens, WhatCannotBeSharedIsRefusedWithWhatCan) {
  const auto refusal = [](int64_t tp_size, int64_t pp_size) -> std::string {
    ModelOptions model = model_options(kModelDir);
    model.build_config.tp_size = tp_size;
    model.build_config.pp_size = pp_size;
    SilentProgress silent;
    try {
      LLM llm(model, {}, silent);
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal(3, 1), HasSubstr("this model takes 1, 2, 4, 8"));
  EXPECT_THAT(refusal(1, 7), HasSubstr("the model has 6 layers"));
  EXPECT_THAT(refusal(4, 3), HasSubstr("needs 12 devices, this machine offers 8"));
}

}  // namespace
}  // namespace octavo
