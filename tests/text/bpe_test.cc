// Merging order, unknown characters, byte fallback, and its time on long words.
// SPDX-License-Identifier: Apache-2.0
#include "text/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

std::vector<int32_t> encode(const json& model, const std::string& word) {
  const testing::Document document(model);
  const BpeModel bpe = BpeModel::read(document.field.as_object());
  BpeModel::Scratch scratch;
  std::vector<int32_t> ids;
  bpe.encode(word, scratch, ids);
  return ids;
}

TEST(Bpe, LowestRankFirstThenLeftmost) {
  const json model = {{"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"ba", 3}, {"aa", 4}}},
                      {"merges", {"b a", "a b", "a a"}}};
  EXPECT_THAT(encode(model, "aba"), ElementsAre(0, 3));
  EXPECT_THAT(encode(model, "abab"), ElementsAre(0, 3, 1));
  EXPECT_THAT(encode(model, "aaa"), ElementsAre(4, 0));
}

TEST(Bpe, MergesAsTextAndAsPairs) {
  json model = testing::small_model();
  EXPECT_THAT(encode(model, "abcab"), ElementsAre(4, 3));
  model["merges"] = json::array({json::array({"a", "b"}), json::array({"ab", "c"})});
  EXPECT_THAT(encode(model, "abcab"), ElementsAre(4, 3));
  model["merges"] = {"#version: 0.2", "a b"};
  EXPECT_THAT(encode(model, "abc"), ElementsAre(3, 2));
}

TEST(Bpe, IgnoreMergesTakesTheWholeWord) {
  json model = {{"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", json::array()}};
  EXPECT_THAT(encode(model, "ab"), ElementsAre(0, 1));
  model["ignore_merges"] = true;
  EXPECT_THAT(encode(model, "ab"), ElementsAre(2));
  EXPECT_THAT(encode(model, "aba"), ElementsAre(0, 1, 0));
}

TEST(Bpe, UnknownCharacters) {
  json model = testing::small_model();
  EXPECT_THAT(encode(model, "axyb"), ElementsAre(3));  // dropped, and the neighbours merge
  model["unk_token"] = "c";
  EXPECT_THAT(encode(model, "axyb"), ElementsAre(0, 2, 2, 1));
  model["fuse_unk"] = true;
  EXPECT_THAT(encode(model, "axyb"), ElementsAre(0, 2, 1));
}

TEST(Bpe, ByteFallback) {
  json model = testing::small_model();
  for (int byte = 0; byte < 256; ++byte)
    model["vocab"][byte_token(static_cast<uint8_t>(byte))] = 100 + byte;
  model["byte_fallback"] = true;
  EXPECT_THAT(encode(model, "aé"), ElementsAre(0, 100 + 0xC3, 100 + 0xA9));
}

TEST(Bpe, PrefixAndSuffix) {
  const json model = {
      {"vocab", {{"a", 0}, {"@@b", 1}, {"@@c</w>", 2}, {"ab", 3}, {"a</w>", 4}, {"abc</w>", 5}}},
      {"merges", {"a @@b", "ab @@c</w>"}},
      {"continuing_subword_prefix", "@@"},
      {"end_of_word_suffix", "</w>"}};
  EXPECT_THAT(encode(model, "abc"), ElementsAre(5));
  EXPECT_THAT(encode(model, "a"), ElementsAre(4));
}

// Ranks that join any two equal halves: every symbol takes part in a merge at every level.
json doubling_model(int levels) {
  json model = {{"vocab", {{"a", 0}}}, {"merges", json::array()}};
  std::string token = "a";
  for (int level = 1; level <= levels; ++level) {
    model["merges"].push_back(json::array({token, token}));
    token += token;
    model["vocab"][token] = level;
  }
  return model;
}

TEST(Bpe, AMegabyteOfOneLetterTakesUnderASecond) {
  const auto ids_of = [](size_t count) {
    const auto start = std::chrono::steady_clock::now();
    const auto ids = encode(doubling_model(10), std::string(count, 'a'));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    // Sanitizers and a loaded machine slow this down; quadratic time would be hours.
    EXPECT_LT(seconds.count(), 20.0);
    return ids;
  };
  EXPECT_THAT(ids_of(1 << 20), ::testing::AllOf(::testing::SizeIs(1 << 10), ::testing::Each(10)));
  EXPECT_THAT(ids_of(1025), ElementsAre(10, 0));
}

}  // namespace
}  // namespace octavo
