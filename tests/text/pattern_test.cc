// Patterns as text and as expressions; replacement.
// SPDX-License-Identifier: Apache-2.0
#include "text/pattern.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

std::string replace(const nlohmann::json& pattern, const std::string& content,
                    const std::string& text) {
  const testing::Document document({{"pattern", pattern}, {"content", content}});
  return Replacement::read(document.field.as_object()).apply(text);
}

TEST(Pattern, TextAndExpression) {
  EXPECT_EQ(replace({{"String", "a."}}, "x", "a.ab"), "xab");
  EXPECT_EQ(replace({{"Regex", "a."}}, "x", "a.ab"), "xx");
  EXPECT_EQ(replace({{"Regex", "a"}}, "$0\\1", "a"), "$0\\1");
  EXPECT_EQ(replace_matches(Regex::literal(" "), "a b ", "▁"), "a▁b▁");
}

TEST(Pattern, OtherKeysAreBadFiles) {
  EXPECT_EQ(testing::category_of([] {
              replace({{"Text", "a"}}, "x", "a");
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] { replace("a", "x", "a"); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] {
              replace({{"String", 1}}, "x", "a");
            }),
            ErrorCategory::kBadFile);
}

TEST(Pattern, GrowthIsBounded) {
  EXPECT_EQ(testing::category_of([] {
              replace({{"String", "a"}}, std::string(1000, 'a'), std::string(100, 'a'));
            }),
            ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
