// Text from tokens: characters and stop strings that are cut by token edges, end ids, min_tokens.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/text_stream.h"

#include <gtest/gtest.h>

#include "byte_tokenizer.h"

namespace octavo {
namespace {

using testing::byte_ids;
using testing::kEndId;

const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer = testing::byte_tokenizer();
  return tokenizer;
}

// Pushes every byte as a token; the pieces are joined with "|" where they are not empty.
std::string pieces(std::string_view text, const SamplingParams& params) {
  TextStream stream(tokenizer(), params);
  std::string joined;
  for (const int32_t id : byte_ids(text)) {
    const std::string piece = stream.push(id, /*is_end=*/false);
    if (!piece.empty()) joined += piece + "|";
  }
  return joined + stream.finish();
}

TEST(TextStream, CharactersAppearWhenTheyAreWhole) {
  EXPECT_EQ(pieces("ab", {}), "a|b|");
  EXPECT_EQ(pieces("é€", {}), "é|€|");
  EXPECT_EQ(pieces("a\xE2\x82", {}), "a|\xEF\xBF\xBD");  // half a character at the end
}

TEST(TextStream, StopStringsAreFoundAcrossTokens) {
  EXPECT_EQ(pieces("one STOP two", {.stop = {"STOP"}}), "o|n|e| |");
  EXPECT_EQ(pieces("one STOP two", {.stop = {"STOP"}, .include_stop_str_in_output = true}),
            "o|n|e| |STOP|");
  EXPECT_EQ(pieces("a€b", {.stop = {"€"}}), "a|");
  // What looked like the start of one comes out when it is not, and at the end.
  EXPECT_EQ(pieces("SToP", {.stop = {"STOP"}}), "STo|P|");
  EXPECT_EQ(pieces("xSTO", {.stop = {"STOP"}}), "x|STO");
}

TEST(TextStream, EndIdsShowOnlyWhereAskedFor) {
  for (const bool include : {false, true}) {
    TextStream stream(tokenizer(), {.include_stop_str_in_output = include});
    EXPECT_EQ(stream.push('a', false), "a");
    EXPECT_EQ(stream.push('.', /*is_end=*/true), include ? "." : "");
  }
  TextStream special(tokenizer(), {.include_stop_str_in_output = true});
  EXPECT_EQ(special.push(kEndId, true), "");
  TextStream shown(tokenizer(), {.include_stop_str_in_output = true, .skip_special_tokens = false});
  EXPECT_EQ(shown.push(kEndId, true), "<end>");
}

TEST(TextStream, StopStringsCountFromMinTokens) {
  EXPECT_EQ(pieces("a.b.c", {.min_tokens = 3, .stop = {"."}}), "a|.|b|");
  EXPECT_EQ(pieces("a.b.c", {.min_tokens = 2, .stop = {"."}}), "a|");
}

TEST(TextStream, RowsThatAreNoTokenGiveNoText) {
  TextStream stream(tokenizer(), {});
  EXPECT_EQ(stream.push(kEndId + 100, false), "");
  EXPECT_EQ(stream.push('a', false), "a");
}

}  // namespace
}  // namespace octavo
