// Leftmost, then longest.
// SPDX-License-Identifier: Apache-2.0
#include "text/token_trie.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(TokenTrie, LeftmostThenLongest) {
  TokenTrie trie;
  EXPECT_TRUE(trie.add("ab", 1));
  EXPECT_TRUE(trie.add("abcd", 2));
  EXPECT_TRUE(trie.add("bcde", 3));
  EXPECT_FALSE(trie.add("ab", 4));
  const auto first = trie.find("xabcde", 0);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->id, 2);
  EXPECT_EQ(first->begin, 1u);
  EXPECT_EQ(first->end, 5u);
  EXPECT_EQ(trie.find("xabcx", 0)->id, 1);
  EXPECT_EQ(trie.find("xabcde", 2)->id, 3);
  EXPECT_FALSE(trie.find("xabcde", 3).has_value());
  EXPECT_FALSE(TokenTrie().find("a", 0).has_value());
}

}  // namespace
}  // namespace octavo
