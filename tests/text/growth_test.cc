// A text may grow, but not without bound.
// SPDX-License-Identifier: Apache-2.0
#include "text/growth.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

TEST(Growth, BeyondTheBoundIsABadFile) {
  const GrowthGuard guard{"t.json", "normalizer"};
  guard.check(0, 4096);
  guard.check(100, 100 * 64 + 4096);
  EXPECT_EQ(testing::category_of([&] { guard.check(100, 100 * 64 + 4097); }),
            ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
