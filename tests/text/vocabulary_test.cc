// Ids and tokens both ways; ids that cannot be.
// SPDX-License-Identifier: Apache-2.0
#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

Vocabulary read(const nlohmann::json& vocab) {
  const testing::Document document(vocab);
  return Vocabulary::read(document.field.as_object());
}

TEST(Vocabulary, GapsAreAllowed) {
  const Vocabulary vocabulary = read({{"a", 0}, {"b", 5}});
  EXPECT_EQ(vocabulary.size(), 6);
  EXPECT_EQ(vocabulary.find("b"), 5);
  EXPECT_EQ(*vocabulary.token(5), "b");
  EXPECT_EQ(vocabulary.token(3), nullptr);
  EXPECT_EQ(vocabulary.token(-1), nullptr);
  EXPECT_EQ(vocabulary.token(6), nullptr);
  EXPECT_EQ(vocabulary.find("c"), std::nullopt);
}

TEST(Vocabulary, ImpossibleIdsAreBadFiles) {
  for (const nlohmann::json& id :
       {nlohmann::json(-1), nlohmann::json(2147483648u), nlohmann::json(1u << 22),
        nlohmann::json(1.5), nlohmann::json("1"), nlohmann::json(nullptr)}) {
    EXPECT_EQ(testing::category_of([&] { read({{"a", id}}); }), ErrorCategory::kBadFile) << id;
  }
  EXPECT_EQ(testing::category_of([] { read({{"a", 1}, {"b", 1}}); }), ErrorCategory::kBadFile);
}

TEST(Vocabulary, ATakenTokenOrIdIsNotAdded) {
  Vocabulary vocabulary = read({{"a", 0}});
  EXPECT_FALSE(vocabulary.add("a", 1));
  EXPECT_FALSE(vocabulary.add("b", 0));
  EXPECT_TRUE(vocabulary.add("b", 1));
  EXPECT_EQ(*vocabulary.token(0), "a");
}

}  // namespace
}  // namespace octavo
