// What makes a model a bad file, and what makes it an unsupported one.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "text/bpe.h"
#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;

std::optional<Error> error_with(const json& changes) {
  json model = testing::small_model();
  model.update(changes);
  const testing::Document document(model);
  return testing::error_of([&] { BpeModel::read(document.field.as_object()); });
}

TEST(BpeReader, BadFiles) {
  const std::vector<std::pair<json, std::string>> cases = {
      {{{"merges", {"a c"}}}, "\"ac\""},
      {{{"merges", {"a x"}}}, "\"x\""},
      {{{"merges", {"x a"}}}, "merges[0]"},
      {{{"merges", {"ab"}}}, "merges[0]"},
      {{{"merges", {"a b c"}}}, "merges[0]"},
      {{{"merges", {{"a"}}}}, "two tokens"},
      {{{"merges", {1}}}, "merges[0]"},
      {{{"merges", "a b"}}, "merges"},
      {{{"unk_token", "x"}}, "unk_token"},
      {{{"vocab", {"a"}}}, "vocab"},
      {{{"byte_fallback", true}}, "<0x00>"},
      {{{"fuse_unk", 1}}, "fuse_unk"},
      {{{"continuing_subword_prefix", "##"}}, "prefix"},
  };
  for (const auto& [changes, expected] : cases) {
    const auto error = error_with(changes);
    ASSERT_TRUE(error.has_value()) << changes;
    EXPECT_EQ(error->category(), ErrorCategory::kBadFile) << changes;
    EXPECT_THAT(error->what(), ::testing::HasSubstr(expected));
  }
}

TEST(BpeReader, OtherModelsAndDropoutAreRefused) {
  for (const char* type : {"WordPiece", "WordLevel", "Unigram"}) {
    const auto error = error_with({{"type", type}});
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error->what(), ::testing::HasSubstr(type));
  }
  EXPECT_EQ(error_with({{"dropout", 0.1}})->category(), ErrorCategory::kUnsupported);
  EXPECT_FALSE(error_with({{"dropout", 0.0}}).has_value());
  EXPECT_FALSE(error_with({{"dropout", nullptr}}).has_value());
}

}  // namespace
}  // namespace octavo
