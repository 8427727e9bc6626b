// Each field's range, and what counts as greedy.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/sampling_params.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "core/error.h"

namespace octavo {
namespace {

constexpr int64_t kVocab = 100;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Row {
  const char* field;
  std::function<void(SamplingParams&)> set;
  bool valid;
};

const std::vector<Row> kRows = {
    {"max_tokens", [](auto& p) { p.max_tokens = 0; }, false},
    {"max_tokens", [](auto& p) { p.max_tokens = -1; }, false},
    {"max_tokens", [](auto& p) { p.max_tokens = 1; }, true},
    {"min_tokens", [](auto& p) { p.min_tokens = -1; }, false},
    {"min_tokens", [](auto& p) { p.min_tokens = 33; }, false},
    {"min_tokens", [](auto& p) { p.min_tokens = 32; }, true},
    {"temperature", [](auto& p) { p.temperature = -1; }, false},
    {"temperature", [](auto& p) { p.temperature = 2.1f; }, false},
    {"temperature", [](auto& p) { p.temperature = kInf; }, false},
    {"temperature", [](auto& p) { p.temperature = kNan; }, false},
    {"temperature", [](auto& p) { p.temperature = 1e-30f; }, true},
    {"temperature", [](auto& p) { p.temperature = 2; }, true},
    {"top_p", [](auto& p) { p.top_p = 0; }, false},
    {"top_p", [](auto& p) { p.top_p = 1.1f; }, false},
    {"top_p", [](auto& p) { p.top_p = kNan; }, false},
    {"top_p", [](auto& p) { p.top_p = 1; }, true},
    {"top_k", [](auto& p) { p.top_k = -2; }, false},
    {"top_k", [](auto& p) { p.top_k = 1000000000; }, false},
    {"top_k", [](auto& p) { p.top_k = 0; }, true},
    {"top_k", [](auto& p) { p.top_k = kVocab; }, true},
    {"min_p", [](auto& p) { p.min_p = -0.1f; }, false},
    {"min_p", [](auto& p) { p.min_p = 1.1f; }, false},
    {"min_p", [](auto& p) { p.min_p = kNan; }, false},
    {"repetition_penalty", [](auto& p) { p.repetition_penalty = 0; }, false},
    {"repetition_penalty", [](auto& p) { p.repetition_penalty = kInf; }, false},
    {"repetition_penalty", [](auto& p) { p.repetition_penalty = kNan; }, false},
    {"repetition_penalty", [](auto& p) { p.repetition_penalty = 1e-30f; }, true},
    {"presence_penalty", [](auto& p) { p.presence_penalty = 2.1f; }, false},
    {"presence_penalty", [](auto& p) { p.presence_penalty = -2; }, true},
    {"frequency_penalty", [](auto& p) { p.frequency_penalty = -2.1f; }, false},
    {"frequency_penalty", [](auto& p) { p.frequency_penalty = kNan; }, false},
    {"logprobs", [](auto& p) { p.logprobs = -1; }, false},
    {"logprobs", [](auto& p) { p.logprobs = 21; }, false},
    {"logprobs", [](auto& p) { p.logprobs = 20; }, true},
    {"prompt_logprobs", [](auto& p) { p.prompt_logprobs = -1; }, false},
    {"stop", [](auto& p) { p.stop = {""}; }, false},
    {"stop",
     [](auto& p) {
       p.stop = {"a", "b", "c", "d", "e"};
     },
     false},
    {"stop", [](auto& p) { p.stop = {std::string(1 << 20, 'x')}; }, false},
    {"stop",
     [](auto& p) {
       p.stop = {"a", "b", "c", "d"};
     },
     true},
    {"stop_token_ids", [](auto& p) { p.stop_token_ids = {-1}; }, false},
    {"stop_token_ids", [](auto& p) { p.stop_token_ids = {static_cast<int32_t>(kVocab)}; }, false},
    {"stop_token_ids", [](auto& p) { p.stop_token_ids.assign(1025, 1); }, false},
    {"stop_token_ids",
     [](auto& p) {
       p.stop_token_ids = {0, 99};
     },
     true},
};

TEST(SamplingParams, RangesNameTheField) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    SCOPED_TRACE(std::string(kRows[i].field) + ", row " + std::to_string(i));
    SamplingParams params;
    kRows[i].set(params);
    try {
      validate(params, kVocab);
      EXPECT_TRUE(kRows[i].valid);
    } catch (const Error& error) {
      EXPECT_FALSE(kRows[i].valid) << error.what();
      EXPECT_EQ(error.field(), kRows[i].field);
      EXPECT_EQ(error.category(),
                params.prompt_logprobs ? ErrorCategory::kUnsupported : ErrorCategory::kUsage);
      EXPECT_LT(std::string(error.what()).size(), 200u);
    }
  }
}

TEST(SamplingParams, DefaultsAreValidAndGreedy) {
  const SamplingParams params;
  EXPECT_NO_THROW(validate(params, kVocab));
  EXPECT_EQ(params.max_tokens, 32);
  EXPECT_TRUE(is_greedy(params));
  EXPECT_FALSE(has_penalties(params));
}

TEST(SamplingParams, GreedyIsZeroOrTinyTemperatureOrOneCandidate) {
  EXPECT_TRUE(is_greedy({.temperature = 0}));
  EXPECT_TRUE(is_greedy({.temperature = 1e-30f, .top_p = 0.9f}));
  EXPECT_TRUE(is_greedy({.temperature = 1, .top_k = 1}));
  EXPECT_FALSE(is_greedy({.temperature = 1}));
  EXPECT_FALSE(is_greedy({.top_p = 0.9f}));
  EXPECT_FALSE(is_greedy({.seed = 1}));
}

TEST(SamplingParams, NeutralPenaltiesAreNone) {
  SamplingParams params;
  params.repetition_penalty = 1;
  params.presence_penalty = 0;
  params.frequency_penalty = 0;
  EXPECT_FALSE(has_penalties(params));
  params.presence_penalty = 0.5f;
  EXPECT_TRUE(has_penalties(params));
}

}  // namespace
}  // namespace octavo
