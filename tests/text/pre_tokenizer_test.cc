// Each pre-tokenizer, sequences of them, and the refusal of others.
// SPDX-License-Identifier: Apache-2.0
#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

std::vector<std::string> words(const json& pre_tokenizer, const std::string& text,
                               bool starts_text = true) {
  const testing::Document document(pre_tokenizer);
  std::vector<Word> words{{text, starts_text}};
  read_pre_tokenizer(document.field)->apply(words);
  std::vector<std::string> out;
  for (const Word& word : words) out.push_back(word.text);
  return out;
}

json byte_level(bool prefix, bool regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", prefix},
          {"trim_offsets", true},
          {"use_regex", regex}};
}
json split(const json& pattern, const std::string& behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", invert}};
}
json metaspace(const std::string& scheme, bool split) {
  return {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", split}};
}

TEST(PreTokenizer, ByteLevel) {
  EXPECT_THAT(words(byte_level(false, true), "it's  12 é!"),
              ElementsAre("it", "'s", "Ġ", "Ġ12", "ĠÃ©", "!"));
  EXPECT_THAT(words(byte_level(true, true), "a b"), ElementsAre("Ġa", "Ġb"));
  EXPECT_THAT(words(byte_level(true, false), " a b"), ElementsAre("ĠaĠb"));
}

TEST(PreTokenizer, SplitPatternsAndInversion) {
  EXPECT_THAT(words(split({{"Regex", "\\d"}}, "Isolated"), "a12"), ElementsAre("a", "1", "2"));
  EXPECT_THAT(words(split({{"String", "."}}, "Removed"), "a.b"), ElementsAre("a", "b"));
  EXPECT_THAT(words(split({{"Regex", "[a-z]+"}}, "Removed", /*invert=*/true), "ab 12 cd"),
              ElementsAre("ab", "cd"));
  EXPECT_THAT(words(split({{"Regex", "(?=b)"}}, "Isolated"), "abab"), ElementsAre("a", "ba", "b"));
}

TEST(PreTokenizer, MetaspaceSchemes) {
  EXPECT_THAT(words(metaspace("always", true), "a  b"), ElementsAre("▁a", "▁", "▁b"));
  EXPECT_THAT(words(metaspace("always", true), " a"), ElementsAre("▁a"));
  EXPECT_THAT(words(metaspace("never", false), "a b"), ElementsAre("a▁b"));
  EXPECT_THAT(words(metaspace("first", false), "a b"), ElementsAre("▁a▁b"));
  EXPECT_THAT(words(metaspace("first", false), "a b", /*starts_text=*/false), ElementsAre("a▁b"));
}

TEST(PreTokenizer, OnlyTheFirstPieceStartsTheText) {
  const json sequence = {
      {"type", "Sequence"},
      {"pretokenizers", {split({{"String", "-"}}, "Removed"), metaspace("first", false)}}};
  EXPECT_THAT(words(sequence, "a-b"), ElementsAre("▁a", "b"));
  EXPECT_THAT(words(sequence, "-b"), ElementsAre("b"));
}

TEST(PreTokenizer, Digits) {
  EXPECT_THAT(words({{"type", "Digits"}, {"individual_digits", true}}, "a12½b"),
              ElementsAre("a", "1", "2", "½", "b"));
  EXPECT_THAT(words({{"type", "Digits"}, {"individual_digits", false}}, "a12½b"),
              ElementsAre("a", "12½", "b"));
}

TEST(PreTokenizer, ASequenceThatMultipliesIsStopped) {
  const json sequence = {{"type", "Sequence"},
                         {"pretokenizers", std::vector<json>(40, byte_level(false, false))}};
  EXPECT_EQ(testing::category_of([&] { words(sequence, "é"); }), ErrorCategory::kBadFile);
}

TEST(PreTokenizer, OthersAreRefusedByName) {
  for (const char* type : {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation",
                           "UnicodeScripts", "CharDelimiterSplit", "FixedLength"}) {
    const auto error = testing::error_of([&] { words({{"type", type}}, "a"); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error->what(), ::testing::HasSubstr(type));
  }
  EXPECT_EQ(testing::category_of([] {
              words(split({{"String", "a"}}, "Merged"), "a");
            }),
            ErrorCategory::kUnsupported);
}

}  // namespace
}  // namespace octavo
