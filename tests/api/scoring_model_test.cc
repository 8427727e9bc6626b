// Models that score sequences.
// SPDX-License-Identifier: Apache-2.0
#include "api/scoring_model.h"

#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

TEST(ScoringModel, GivesLogitsOfEveryPosition) {
  ThreadPool pool(0);
  SilentProgress silent;
  ScoringModel model(load_model(dummy_options(), pool, silent), /*context=*/20);
  int64_t positions = 0;
  model.runner().visit_logits(std::vector<int32_t>(20, 3), [&](int64_t, auto) { ++positions; });
  EXPECT_EQ(positions, 20);
}

TEST(ScoringModel, RefusesMoreThanTheModelTakes) {
  ThreadPool pool(0);
  SilentProgress silent;
  const auto load = [&] { return load_model(dummy_options(), pool, silent); };
  EXPECT_EQ(error_of([&] { ScoringModel(load(), 513); }).category(), ErrorCategory::kUsage);
  EXPECT_NO_THROW(ScoringModel(load(), 0));
}

TEST(ScoredStream, EndsEveryDocument) {
  const Tokenizer tokenizer = Tokenizer::load(kPocket);
  const std::vector<int32_t> stream = scored_stream(tokenizer, {}, {"one", "two"});
  ASSERT_TRUE(tokenizer.eos_id());
  EXPECT_EQ(stream.back(), *tokenizer.eos_id());
  EXPECT_EQ(std::ranges::count(stream, *tokenizer.eos_id()), 2);
}

}  // namespace
}  // namespace octavo
