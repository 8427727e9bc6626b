// ShareGPT files: which conversations become requests, and hostile lists.
// SPDX-License-Identifier: Apache-2.0
#include "measure/sharegpt.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "io/test_support.h"

namespace octavo {
namespace {

// One id a byte.
std::vector<int32_t> bytes_as_ids(std::string_view text) { return {text.begin(), text.end()}; }

std::string conversation(size_t prompt_tokens, size_t completion_tokens) {
  return fmt::format(
      R"({{"id":"x","conversations":[{{"from":"human","value":"{}"}},{{"from":"gpt","value":"{}"}},)"
      R"({{"from":"human","value":"more"}}]}})",
      std::string(prompt_tokens, 'p'), std::string(completion_tokens, 'c'));
}

class ShareGptTest : public testing::Test {
 protected:
  Dataset read(std::string_view bytes, DatasetOptions options = {.tokenize = bytes_as_ids}) {
    return read_dataset(directory.write("sharegpt.json", bytes), options);
  }
  TemporaryDirectory directory;
};

TEST_F(ShareGptTest, TheFirstTwoTurnsMakeARequest) {
  const Dataset dataset = read("\n [" + conversation(10, 20) + "]");
  EXPECT_EQ(dataset.format, "sharegpt");
  ASSERT_EQ(dataset.requests.size(), 1u);
  EXPECT_EQ(dataset.requests[0].prompt, "pppppppppp");
  EXPECT_EQ(dataset.requests[0].input_ids.size(), 10u);
  EXPECT_EQ(dataset.requests[0].output_tokens, 20);
}

TEST_F(ShareGptTest, TheRulesAreExact) {
  std::string list = "[";
  for (const auto& [prompt, completion] : std::vector<std::pair<size_t, size_t>>{
           {4, 4}, {1024, 1024}, {3, 4}, {4, 3}, {1025, 4}, {1024, 1025}}) {
    list += conversation(prompt, completion) + ",";
  }
  list += R"({"conversations":[{"value":"only one turn"}]},{"conversations":[]},{"other":1}])";
  const Dataset dataset = read(list);
  std::set<size_t> prompts;
  for (const auto& request : dataset.requests) prompts.insert(request.input_ids.size());
  EXPECT_THAT(prompts, testing::ElementsAre(4, 1024));
  EXPECT_EQ(dataset.dropped, 7);
}

TEST_F(ShareGptTest, TheSeedDecidesTheOrderAndTooFewRepeat) {
  std::string list = "[";
  for (size_t i = 0; i < 50; ++i) list += (i ? "," : "") + conversation(10 + i, 4);
  list += "]";
  const auto order = [&](uint64_t seed) {
    std::vector<size_t> lengths;
    const Dataset dataset =
        read(list, {.num_requests = 60, .seed = seed, .tokenize = bytes_as_ids});
    for (const auto& request : dataset.requests) lengths.push_back(request.input_ids.size());
    return lengths;
  };
  const auto first = order(1);
  ASSERT_EQ(first.size(), 60u);
  EXPECT_EQ(first, order(1));
  EXPECT_NE(first, order(2));
  EXPECT_EQ(first[0], first[50]);
  EXPECT_EQ(std::set<size_t>(first.begin(), first.end()).size(), 50u);
}

TEST_F(ShareGptTest, ValuesElsewhereAreIgnored) {
  const Dataset dataset =
      read(R"([{"value":"outside","conversations":[{"value":"prompt","meta":{"value":"inside"}},)"
           R"({"from":"gpt","value":"answer"}],"items":[{"value":"another"}]}])");
  ASSERT_EQ(dataset.requests.size(), 1u);
  EXPECT_EQ(dataset.requests[0].prompt, "prompt");
  EXPECT_EQ(dataset.requests[0].output_tokens, 6);
}

TEST_F(ShareGptTest, BadListsAreRefused) {
  for (const std::string& bytes :
       {std::string("["), std::string("[1]"), std::string("[[]]"), std::string("[\"x\"]"),
        std::string("[null]"), "[" + conversation(5, 5), std::string(100'000, '[')}) {
    EXPECT_EQ(error_of([&] { read(bytes); }).category(), ErrorCategory::kBadFile)
        << bytes.substr(0, 60);
  }
  EXPECT_EQ(error_of([&] {
              read_sharegpt(directory.write("o.json", "{}"), {.tokenize = bytes_as_ids});
            }).category(),
            ErrorCategory::kBadFile);
}

TEST_F(ShareGptTest, NothingUsableSaysTheRules) {
  const Error error = error_of([&] { read("[" + conversation(1, 1) + "]"); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr("none of 1 conversations"));
}

TEST_F(ShareGptTest, NeedsATokenizer) {
  EXPECT_EQ(error_of([&] { read("[" + conversation(5, 5) + "]", {}); }).category(),
            ErrorCategory::kUnsupported);
}

}  // namespace
}  // namespace octavo
