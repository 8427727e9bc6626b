// Bad tokenizer files and hostile texts: each has its error, and none takes long.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>

#include "io/test_support.h"
#include "text/detokenizer.h"
#include "text/text_testing.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace octavo {
namespace {

using nlohmann::json;
using testing::category_of;
using ::testing::HasSubstr;

void load_with(const json& model_changes, const json& more = {}) {
  json model = testing::small_model();
  if (model_changes.is_object()) model.update(model_changes);
  testing::make_tokenizer(model, more);
}

json token(int64_t id, const std::string& content, bool special = false) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

json split_with(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

TEST(TokenizerFaults, MergeWhoseResultIsNoToken) {
  const auto error = testing::error_of([] { load_with({{"merges", {"b c"}}}); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error->what(), HasSubstr("model.merges[0]"));
}

TEST(TokenizerFaults, RightTokenShorterThanThePrefix) {
  EXPECT_EQ(category_of([] {
              load_with({{"continuing_subword_prefix", "####"}});
            }),
            ErrorCategory::kBadFile);
}

TEST(TokenizerFaults, IdsThatCannotBe) {
  EXPECT_EQ(category_of([] {
              load_with({{"vocab", {{"a", 0}, {"b", 0}, {"c", 2}, {"ab", 3}, {"abc", 4}}}});
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(category_of([] { load_with({{"vocab", {{"a", -1}}}}); }), ErrorCategory::kBadFile);
  EXPECT_EQ(category_of([] {
              load_with({{"vocab", {{"a", int64_t{1} << 31}}}});
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(category_of([] {
              load_with({}, {{"added_tokens", json::array({token(int64_t{1} << 31, "x")})}});
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(category_of([] {
              load_with({}, {{"added_tokens", json::array({token(1000, "x")})}});
            }),
            std::nullopt);  // a gap
  const TemporaryDirectory directory;
  directory.write("tokenizer.json",
                  R"({"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}, "merges": []}})");
  EXPECT_EQ(category_of([&] { Tokenizer::load(directory.path()); }), ErrorCategory::kBadFile);
  const Tokenizer tokenizer = testing::make_tokenizer(testing::small_model());
  EXPECT_EQ(category_of([&] { tokenizer.check_fits(5); }), ErrorCategory::kBadFile);
  EXPECT_EQ(category_of([&] { tokenizer.check_fits(6); }), std::nullopt);
}

TEST(TokenizerFaults, AddedTokensThatContradict) {
  EXPECT_EQ(category_of([] {
              load_with({}, {{"added_tokens", json::array({token(9, "")})}});
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(
      category_of([] {
        load_with({}, {{"added_tokens", json::array({token(9, "x", true), token(9, "x", false)})}});
      }),
      ErrorCategory::kBadFile);
  const Tokenizer tokenizer = testing::make_tokenizer(
      testing::small_model(),
      {{"added_tokens", json::array({token(8, "<x"), token(9, "<x>", true)})}});
  EXPECT_THAT(tokenizer.encode("<x><x"), ::testing::ElementsAre(9, 8));
}

TEST(TokenizerFaults, UnsupportedPartsAreNamed) {
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    json more = {{part, {{"type", "Novelty"}}}};
    const auto error = testing::error_of([&] { load_with({}, more); });
    ASSERT_TRUE(error.has_value()) << part;
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported) << part;
    EXPECT_THAT(error->what(), ::testing::AllOf(HasSubstr(part), HasSubstr("Novelty")));
  }
  EXPECT_EQ(category_of([] { load_with({}, {{"version", "2.0"}}); }), ErrorCategory::kUnsupported);
}

TEST(TokenizerFaults, HostileRegularExpressions) {
  EXPECT_EQ(category_of([] {
              load_with({}, {{"pre_tokenizer", split_with("(a")}});
            }),
            ErrorCategory::kBadFile);
  const Tokenizer tokenizer =
      testing::make_tokenizer(testing::small_model(), {{"pre_tokenizer", split_with("(a+)+$")}});
  EXPECT_EQ(category_of([&] { tokenizer.encode(std::string(1'000'000, 'a') + "!"); }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(category_of([&] { tokenizer.encode("aab"); }), std::nullopt);
}

TEST(TokenizerFaults, ByteFallbackWithoutAllBytes) {
  json model = testing::fixture_json("llama2")["model"];
  EXPECT_EQ(category_of([&] { testing::make_tokenizer(model); }), std::nullopt);
  model["vocab"].erase("<0x7F>");
  const auto error = testing::error_of([&] { testing::make_tokenizer(model); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error->what(), HasSubstr("<0x7F>"));
}

TEST(TokenizerFaults, LongTextsTakeNearLinearTime) {
  std::string family, marks = "a";
  for (int i = 0; i < 40'000; ++i) family += "👩‍👩‍👧‍👦";
  for (int i = 0; i < 300'000; ++i) marks += "\u0301\u0323";
  const std::vector<std::string> texts = {std::string(1'000'000, 'a'), std::string(1'000'000, ' '),
                                          family, marks};
  for (const char* name : {"llama3", "qwen2", "llama2", "mistral"}) {
    const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir(name));
    for (const std::string& text : texts) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_FALSE(tokenizer.encode(text).empty());
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      // About 0.1 s in an optimised build; a sanitizer or a loaded machine takes longer.
      EXPECT_LT(seconds.count(), 20.0) << name;
    }
  }
}

TEST(TokenizerFaults, BytesThatAreNotUtf8) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("llama3"));
  for (const std::string& bytes :
       {std::string("\xED\xA0\x80"), std::string("\xC0\x80"), std::string("a\xFFz"),
        std::string("\xEF\xBB\xBFx"), std::string("a\0b", 3), std::string("\xF4\x8F\xBF\xBF")}) {
    const auto ids = tokenizer.encode(bytes, /*add_special_tokens=*/false);
    EXPECT_EQ(ids, tokenizer.encode(repair_utf8(bytes), /*add_special_tokens=*/false));
    EXPECT_EQ(tokenizer.decode(ids), repair_utf8(bytes));
  }
}

TEST(TokenizerFaults, ControlStringsInPlainText) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("qwen2"));
  const std::string text = "a <|im_start|>system b<|im_end|>";
  for (const int32_t id : tokenizer.encode_plain(text)) EXPECT_FALSE(tokenizer.is_special(id));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode_plain(text), /*skip_special_tokens=*/false), text);
  EXPECT_THAT(tokenizer.encode(text), ::testing::Contains(*tokenizer.token_to_id("<|im_start|>")));
}

TEST(TokenizerFaults, TextsBeyondTheLimitAreRefusedUnread) {
  const size_t bytes = size_t{3} << 30;  // address space only: reading a page would be fatal
  void* memory =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const Tokenizer tokenizer = testing::make_tokenizer(testing::small_model());
  EXPECT_EQ(category_of([&] {
              tokenizer.encode({static_cast<const char*>(memory), bytes});
            }),
            ErrorCategory::kUsage);
  munmap(memory, bytes);
}

TEST(TokenizerFaults, StreamsThatSplitOrCutCharacters) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("gpt2"));
  auto ids = tokenizer.encode("\U0001FAE9");
  ASSERT_GT(ids.size(), 1u);
  Detokenizer detokenizer(tokenizer, /*skip_special_tokens=*/true);
  for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(detokenizer.push(ids[i]), "");
  EXPECT_EQ(detokenizer.push(ids.back()), "\U0001FAE9");
  ids.pop_back();
  for (const int32_t id : ids) EXPECT_EQ(detokenizer.push(id), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
}

TEST(TokenizerFaults, IdsOutOfRangeSpecialIdsAndNone) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("llama3"));
  const auto decode = [&](int64_t id) {
    return tokenizer.decode(std::vector<int32_t>{static_cast<int32_t>(id)});
  };
  EXPECT_EQ(category_of([&] { decode(-1); }), ErrorCategory::kUsage);
  EXPECT_EQ(category_of([&] { decode(tokenizer.vocab_size()); }), ErrorCategory::kUsage);
  EXPECT_EQ(decode(0), "");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{0}, /*skip_special_tokens=*/false),
            "<|begin_of_text|>");
  EXPECT_EQ(tokenizer.decode({}), "");
}

TEST(TokenizerFaults, OnlyASentencePieceModel) {
  const TemporaryDirectory directory;
  directory.write("tokenizer.model", "\x0A\x0E");
  const auto error = testing::error_of([&] { Tokenizer::load(directory.path()); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
  EXPECT_THAT(error->what(),
              ::testing::AllOf(HasSubstr("tokenizer.model"), HasSubstr("tokenizer.json")));
}

}  // namespace
}  // namespace octavo
