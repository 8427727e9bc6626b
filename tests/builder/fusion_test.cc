// Drafts: where the weights of a rewritten Program come from.
// SPDX-License-Identifier: Apache-2.0
#include "builder/fusion.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(Draft, AWeightThatWasNotMergedIsItsOwnPart) {
  const Draft draft{.parts = {{"qkv.weight", {"q.weight", "k.weight", "v.weight"}}}};
  EXPECT_EQ(draft.parts_of("qkv.weight").size(), 3u);
  EXPECT_EQ(draft.parts_of("o.weight"), std::vector<std::string>{"o.weight"});
}

}  // namespace
}  // namespace octavo
