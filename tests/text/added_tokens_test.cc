// The flags of added tokens, the two passes, and contradictions.
// SPDX-License-Identifier: Apache-2.0
#include "text/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

json token(int id, const std::string& content, const std::vector<std::string>& flags = {}) {
  json fields = {{"id", id}, {"content", content}};
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized", "special"}) {
    fields[flag] = std::ranges::find(flags, flag) != flags.end();
  }
  return fields;
}

class Added {
 public:
  explicit Added(const std::vector<json>& tokens, const json& normalizer = nullptr)
      : tokens_(json(tokens)), normalizer_(normalizer) {
    if (!normalizer.is_null()) normalize_ = read_normalizer(normalizer_.field);
    added = AddedTokens::read(tokens_.field.as_array(), Vocabulary(), normalize_.get());
  }
  Added(const Added&) = delete;

  AddedTokens added;

 private:
  testing::Document tokens_, normalizer_;
  std::unique_ptr<const Normalizer> normalize_;
};

// Tokens as "id:text", and the texts between them.
std::vector<std::string> show(const std::vector<Segment>& segments) {
  std::vector<std::string> out;
  for (const Segment& segment : segments) {
    const std::string text(segment.text);
    out.push_back(segment.id ? std::to_string(*segment.id) + ":" + text : text);
  }
  return out;
}

std::vector<std::string> split(const std::vector<json>& tokens, const std::string& text,
                               bool allow_special = true) {
  const Added fixture(tokens);
  return show(fixture.added.split_raw(text, allow_special));
}

TEST(AddedTokens, Flags) {
  EXPECT_THAT(split({token(1, "<s>")}, "a <s> b"), ElementsAre("a ", "1:<s>", " b"));
  EXPECT_THAT(split({token(1, "<s>", {"lstrip"})}, "a \u3000<s> b"),
              ElementsAre("a", "1: \u3000<s>", " b"));
  EXPECT_THAT(split({token(1, "<s>", {"rstrip"})}, "a <s> \nb"),
              ElementsAre("a ", "1:<s> \n", "b"));
  EXPECT_THAT(split({token(1, "the", {"single_word"})}, "the then bathe the_ \u00E9the the"),
              ElementsAre("1:the", " then bathe the_ \u00E9the ", "1:the"));
  EXPECT_THAT(split({token(1, "<s>", {"lstrip", "rstrip"})}, " <s> <s> "),
              ElementsAre("1: <s> ", "1:<s> "));
  EXPECT_TRUE(split({token(1, "<s>")}, "").empty());
}

TEST(AddedTokens, TheLongestOfOverlappingTokensWins) {
  EXPECT_THAT(split({token(1, "<a"), token(2, "<a>"), token(3, "a>b")}, "<a>b<a"),
              ElementsAre("2:<a>", "b", "1:<a"));
}

TEST(AddedTokens, SpecialTokensMayBePlainText) {
  EXPECT_THAT(split({token(1, "<s>", {"special"}), token(2, "<t>")}, "<s><t>",
                    /*allow_special=*/false),
              ElementsAre("<s>", "2:<t>"));
}

TEST(AddedTokens, NormalizedTokensAreSearchedInTheNormalizedText) {
  const Added fixture({token(1, "ﬁ", {"normalized"}), token(2, "ﬂ")}, {{"type", "NFKC"}});
  const AddedTokens& added = fixture.added;
  EXPECT_THAT(show(added.split_raw("fiﬂ", true)), ElementsAre("fi", "2:ﬂ"));
  EXPECT_THAT(show(added.split_normalized("fix", true)), ElementsAre("1:fi", "x"));
  EXPECT_EQ(*added.decoded_text(1), "fi");
  EXPECT_EQ(*added.decoded_text(2), "ﬂ");
}

TEST(AddedTokens, Contradictions) {
  const auto category = [](const std::vector<json>& tokens) {
    return testing::category_of([&] { split(tokens, "a"); });
  };
  EXPECT_EQ(category({token(1, "")}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({token(-1, "a")}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({token(1, "a"), token(1, "b")}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({token(1, "a"), token(2, "a")}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({token(1, "a", {"special"}), token(1, "a")}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({token(1, std::string(2000, 'a'))}), ErrorCategory::kBadFile);
  EXPECT_EQ(category({{{"id", 1}, {"content", "a"}}}), ErrorCategory::kBadFile);
}

TEST(AddedTokens, IdsMustAgreeWithTheVocabulary) {
  const auto load = [](const json& added) {
    testing::make_tokenizer(testing::small_model(), {{"added_tokens", json::array({added})}});
  };
  EXPECT_EQ(testing::category_of([&] { load(token(0, "x")); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([&] { load(token(9, "a")); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([&] { load(token(0, "a")); }), std::nullopt);
  EXPECT_EQ(testing::category_of([&] { load(token(9, "x")); }), std::nullopt);
}

}  // namespace
}  // namespace octavo
