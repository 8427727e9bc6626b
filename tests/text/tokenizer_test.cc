// The tokenizer as a whole: golden cases of every style, loading, special tokens.
// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/test_support.h"
#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

// tests/text/make_tokenizers.py wrote what the `tokenizers` package answers.
TEST_P(GoldenTest, EqualsTheReference) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir(GetParam()));
  const json cases = read_json_file(testing::fixture_dir(GetParam()) / "golden.json");
  EXPECT_GE(cases.size(), 60u);
  for (const json& golden : cases) {
    const std::string text = from_hex(golden["hex"]);
    const auto ids = golden["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.encode_plain(text, /*add_special_tokens=*/false),
              golden["plain_ids"].get<std::vector<int32_t>>());
    EXPECT_EQ(tokenizer.decode(ids, /*skip_special_tokens=*/false),
              golden["text"].get<std::string>());
    EXPECT_EQ(tokenizer.decode(ids), golden["skipped"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, GoldenTest,
                         ::testing::Values("llama3", "gpt2", "qwen2", "llama2", "mistral",
                                           "metaspace"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Tokenizer, SpecialTokensAreAddedOnRequest) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("llama3"));
  const int32_t bos = *tokenizer.token_to_id("<|begin_of_text|>");
  EXPECT_THAT(tokenizer.encode(""), ElementsAre(bos));
  EXPECT_THAT(tokenizer.encode("", /*add_special_tokens=*/false), ElementsAre());
  EXPECT_THAT(tokenizer.encode("<|begin_of_text|>"), ElementsAre(bos, bos));
}

TEST(Tokenizer, TokensAndIds) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("qwen2"));
  const int32_t id = *tokenizer.token_to_id("<tool_call>");
  EXPECT_EQ(tokenizer.id_to_token(id), "<tool_call>");
  EXPECT_FALSE(tokenizer.is_special(id));
  EXPECT_TRUE(tokenizer.is_special(*tokenizer.token_to_id("<|im_end|>")));
  EXPECT_EQ(tokenizer.token_to_id("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(-1), std::nullopt);
  EXPECT_EQ(tokenizer.id_to_token(static_cast<int32_t>(tokenizer.vocab_size())), std::nullopt);
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
}

TEST(Tokenizer, ValidTextComesBack) {
  const std::string text =
      "Round trip: é 漢字 👩‍👩‍👧‍👦 \t\n  \u00A0 \u200B tail";
  for (const char* name : {"llama3", "gpt2", "llama2"}) {
    const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir(name));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name;
  }
}

TEST(Tokenizer, LoadReadsTheNamesOfSpecialTokens) {
  const TemporaryDirectory directory;
  directory.write("tokenizer.json", testing::fixture_json("llama2").dump());
  directory.write("tokenizer_config.json",
                  R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null})");
  const Tokenizer tokenizer = Tokenizer::load(directory.path());
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
}

TEST(Tokenizer, WithoutDecoderTokensAreJoinedBySpaces) {
  const Tokenizer tokenizer = testing::make_tokenizer(testing::small_model());
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{3, 2}), "ab c");
}

TEST(Tokenizer, AFolderWithoutTokenizer) {
  const TemporaryDirectory directory;
  EXPECT_EQ(testing::category_of([&] { Tokenizer::load(directory.path()); }),
            ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
