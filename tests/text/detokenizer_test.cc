// Streamed pieces are valid UTF-8 and joined equal the text decoded at once.
// SPDX-License-Identifier: Apache-2.0
#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "text/text_testing.h"
#include "text/unicode.h"

namespace octavo {
namespace {

std::string stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip) {
  Detokenizer detokenizer(tokenizer, skip);
  std::string out;
  for (const int32_t id : ids) {
    const std::string piece = detokenizer.push(id);
    EXPECT_TRUE(is_valid_utf8(piece));
    out += piece;
  }
  return out + detokenizer.finish();
}

TEST(Detokenizer, RandomIdsOfEveryStyle) {
  std::mt19937 random(3);
  for (const char* name : {"llama3", "gpt2", "qwen2", "llama2", "mistral", "metaspace"}) {
    const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir(name));
    for (int round = 0; round < 200; ++round) {
      std::vector<int32_t> ids(random() % 40);
      for (int32_t& id : ids)
        id = static_cast<int32_t>(random() % static_cast<uint64_t>(tokenizer.vocab_size()));
      const bool skip = round % 2 == 0;
      EXPECT_EQ(stream(tokenizer, ids, skip), tokenizer.decode(ids, skip));
      EXPECT_TRUE(is_valid_utf8(tokenizer.decode(ids, skip)));
    }
  }
}

TEST(Detokenizer, TextArrivesAsSoonAsItIsFinal) {
  const Tokenizer tokenizer = Tokenizer::load(testing::fixture_dir("gpt2"));
  const auto byte_id = [&](const char* token) { return *tokenizer.token_to_id(token); };
  Detokenizer detokenizer(tokenizer, /*skip_special_tokens=*/true);
  EXPECT_EQ(detokenizer.push(byte_id("a")), "a");
  EXPECT_EQ(detokenizer.push(byte_id("Ã")), "");
  EXPECT_EQ(detokenizer.push(byte_id("©")), "é");
  EXPECT_EQ(detokenizer.push(byte_id("â")), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.push(byte_id("b")), "b");  // a new sequence
}

TEST(Detokenizer, OutlivesTheTokenizerItWasMadeFrom) {
  auto tokenizer = std::make_unique<Tokenizer>(Tokenizer::load(testing::fixture_dir("gpt2")));
  const auto ids = tokenizer->encode("hello");
  Detokenizer detokenizer(*tokenizer, true);
  tokenizer.reset();
  std::string out;
  for (const int32_t id : ids) out += detokenizer.push(id);
  EXPECT_EQ(out + detokenizer.finish(), "hello");
}

}  // namespace
}  // namespace octavo
