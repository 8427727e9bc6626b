// The two spellings of Metaspace.
// SPDX-License-Identifier: Apache-2.0
#include "text/metaspace.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

Metaspace read(nlohmann::json fields) {
  fields["type"] = "Metaspace";
  if (!fields.contains("replacement")) fields["replacement"] = "▁";
  const testing::Document document(fields);
  return read_metaspace(document.field.as_object());
}

TEST(Metaspace, NewerAndOlderSpelling) {
  EXPECT_EQ(read({{"prepend_scheme", "first"}, {"split", false}}).prepend_scheme,
            PrependScheme::kFirst);
  EXPECT_EQ(read({{"prepend_scheme", "never"}, {"add_prefix_space", false}}).prepend_scheme,
            PrependScheme::kNever);
  EXPECT_EQ(read({{"add_prefix_space", true}}).prepend_scheme, PrependScheme::kAlways);
  EXPECT_EQ(read({{"add_prefix_space", false}}).prepend_scheme, PrependScheme::kNever);
  EXPECT_TRUE(read({{"prepend_scheme", "first"}}).split);
  EXPECT_FALSE(read({{"split", false}}).split);
}

TEST(Metaspace, Refusals) {
  EXPECT_EQ(testing::category_of([] { read({{"replacement", "ab"}}); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] { read({{"replacement", ""}}); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] {
              read({{"prepend_scheme", "always"}, {"add_prefix_space", false}});
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] {
              read({{"prepend_scheme", "last"}});
            }),
            ErrorCategory::kUnsupported);
}

}  // namespace
}  // namespace octavo
