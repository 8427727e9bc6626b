// Each normalizer, sequences of them, and the refusal of others.
// SPDX-License-Identifier: Apache-2.0
#include "text/normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;

std::string normalize(const json& normalizer, std::string text) {
  const testing::Document document(normalizer);
  read_normalizer(document.field)->apply(text);
  return text;
}

const json kPrepend = {{"type", "Prepend"}, {"prepend", "▁"}};
const json kReplace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};

TEST(Normalizer, Forms) {
  EXPECT_EQ(normalize({{"type", "NFC"}}, "e\u0301"), "é");
  EXPECT_EQ(normalize({{"type", "NFD"}}, "é"), "e\u0301");
  EXPECT_EQ(normalize({{"type", "NFKC"}}, "ﬁ"), "fi");
  EXPECT_EQ(normalize({{"type", "NFKD"}}, "ﬁé"), "fie\u0301");
}

TEST(Normalizer, PrependSkipsTheEmptyText) {
  EXPECT_EQ(normalize(kPrepend, "a"), "▁a");
  EXPECT_EQ(normalize(kPrepend, ""), "");
}

TEST(Normalizer, StripTakesUnicodeWhiteSpace) {
  const auto strip = [](bool left, bool right) {
    return json{{"type", "Strip"}, {"strip_left", left}, {"strip_right", right}};
  };
  EXPECT_EQ(normalize(strip(true, true), "\u3000 a b\u00A0"), "a b");
  EXPECT_EQ(normalize(strip(true, false), " a "), "a ");
  EXPECT_EQ(normalize(strip(false, true), " a "), " a");
  EXPECT_EQ(normalize(strip(true, true), " \n "), "");
}

TEST(Normalizer, SequencesRunInOrder) {
  EXPECT_EQ(normalize({{"type", "Sequence"}, {"normalizers", {kPrepend, kReplace}}}, "a b"),
            "▁a▁b");
}

TEST(Normalizer, ASequenceThatMultipliesIsStopped) {
  json steps = json::array();
  for (int i = 0; i < 40; ++i) {
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  }
  EXPECT_EQ(testing::category_of([&] {
              normalize({{"type", "Sequence"}, {"normalizers", steps}}, "a");
            }),
            ErrorCategory::kBadFile);
}

TEST(Normalizer, OthersAreRefusedByName) {
  for (const char* type :
       {"BertNormalizer", "Lowercase", "Nmt", "Precompiled", "StripAccents", "ByteLevel"}) {
    const auto error = testing::error_of([&] { normalize({{"type", type}}, "a"); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error->what(), ::testing::HasSubstr(type));
  }
}

}  // namespace
}  // namespace octavo
