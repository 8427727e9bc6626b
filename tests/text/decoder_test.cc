// Decoders as tokenizer.json writes them, and what they refuse.
// SPDX-License-Identifier: Apache-2.0
#include "text/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/text_testing.h"

namespace octavo {
namespace {

using nlohmann::json;

json sequence(const std::vector<json>& steps) {
  return {{"type", "Sequence"}, {"decoders", steps}};
}
json strip(int start, int stop) {
  return {{"type", "Strip"}, {"content", " "}, {"start", start}, {"stop", stop}};
}
const json kReplace = {{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}};
const json kFuse = {{"type", "Fuse"}}, kByteLevel = {{"type", "ByteLevel"}},
           kFallback = {{"type", "ByteFallback"}};

size_t steps_of(const json& decoder) {
  const testing::Document document(decoder);
  return Decoder::read(document.field).start().size();
}

TEST(Decoder, SequencesAreFlat) {
  EXPECT_EQ(steps_of(sequence({kReplace, kFallback, kFuse, strip(1, 0)})), 4u);
  EXPECT_EQ(steps_of(sequence({sequence({kReplace}), sequence({kFuse})})), 2u);
  EXPECT_EQ(steps_of(sequence({kByteLevel, strip(1, 1), kFuse})), 3u);
  EXPECT_EQ(Decoder::joined_by_spaces().start().size(), 1u);
}

TEST(Decoder, OthersAreRefusedByName) {
  for (const char* type : {"WordPiece", "CTC", "BPEDecoder"}) {
    const auto error = testing::error_of([&] { steps_of({{"type", type}}); });
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error->what(), ::testing::HasSubstr(type));
  }
}

TEST(Decoder, StepsThatNeedTheWholeTextAreRefused) {
  for (const json& late : {kReplace, kByteLevel, kFallback}) {
    EXPECT_EQ(testing::category_of([&] {
                steps_of(sequence({kFuse, late}));
              }),
              ErrorCategory::kUnsupported);
    EXPECT_EQ(testing::category_of([&] {
                steps_of(sequence({kByteLevel, late}));
              }),
              ErrorCategory::kUnsupported);
  }
}

TEST(Decoder, BadFiles) {
  EXPECT_EQ(testing::category_of([] { steps_of(strip(-1, 0)); }), ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] {
              steps_of({{"type", "Strip"}, {"content", "ab"}, {"start", 1}, {"stop", 0}});
            }),
            ErrorCategory::kBadFile);
  EXPECT_EQ(testing::category_of([] {
              steps_of({{"type", "Sequence"}});
            }),
            ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
