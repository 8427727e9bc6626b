// The names of special tokens, in both spellings, and names of tokens that do not exist.
// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer_config.h"

#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;

TokenizerInfo read(const json& config) {
  const testing::Document document(config);
  return read_tokenizer_config(document.field.as_object(),
                               testing::make_tokenizer(testing::small_model()));
}

TEST(TokenizerConfig, NamesAsTextAndAsObjects) {
  const TokenizerInfo info = read({{"bos_token", "a"},
                                   {"eos_token", {{"content", "ab"}, {"lstrip", false}}},
                                   {"pad_token", nullptr},
                                   {"model_max_length", 4096},
                                   {"clean_up_tokenization_spaces", true}});
  EXPECT_EQ(info.bos_token, "a");
  EXPECT_EQ(info.eos_token, "ab");
  EXPECT_EQ(info.pad_token, std::nullopt);
  EXPECT_EQ(info.model_max_length, 4096);
  EXPECT_TRUE(info.clean_up_tokenization_spaces);
  EXPECT_EQ(read({{"model_max_length", 1e30}}).model_max_length, std::nullopt);
}

TEST(TokenizerConfig, TokensThatTokenizerJsonLacks) {
  EXPECT_EQ(testing::category_of([] { read({{"bos_token", "<s>"}}); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] { read({{"bos_token", 1}}); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] {
              read({{"added_tokens_decoder", {{"9", {{"content", "<s>"}}}}}});
            }),
            ErrorCategory::kUnsupported);
  EXPECT_EQ(testing::category_of([] {
              read({{"added_tokens_decoder", {{"0", {{"content", "a"}}}}}});
            }),
            std::nullopt);
}

}  // namespace
}  // namespace octavo
