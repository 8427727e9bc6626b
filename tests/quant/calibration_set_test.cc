// Reading of calibration sets.
// SPDX-License-Identifier: Apache-2.0
#include "quant/calibration_set.h"

#include <gtest/gtest.h>

#include "io/test_support.h"

namespace octavo {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(OCTAVO_SOURCE_DIR "/models/pocket-llama");
  return tokenizer;
}

class CalibrationSetTest : public testing::Test {
 protected:
  CalibrationSet read(std::string_view text, const CalibrationSetOptions& options = {}) const {
    return read_calibration_set(folder_.write("set.jsonl", text), tokenizer(), options);
  }

  TemporaryDirectory folder_;
};

TEST_F(CalibrationSetTest, DocumentsWithSpecialTokens) {
  const CalibrationSet set = read("{\"text\": \"one\"}\n\n{\"text\": \"\"}\n{\"text\": \"two\"}\n");
  ASSERT_EQ(set.samples.size(), 2u);
  EXPECT_EQ(set.samples[0], tokenizer().encode("one"));
  EXPECT_EQ(set.samples[0].front(), tokenizer().bos_id());
  EXPECT_EQ(set.source, "set.jsonl");
  EXPECT_EQ(set.empty, 1);
  EXPECT_EQ(set.truncated, 0);
  EXPECT_EQ(set.hash, hash_of(set.samples));
}

TEST_F(CalibrationSetTest, TheFirstOfThemAndNotTooLong) {
  const std::string lines =
      "{\"text\": \"a b c d e f g h\"}\n{\"text\": \"x\"}\n{\"text\": \"never read\"}\n";
  const CalibrationSet set = read(lines, {.size = 2, .max_length = 4});
  ASSERT_EQ(set.samples.size(), 2u);
  EXPECT_EQ(set.samples[0].size(), 4u);
  EXPECT_EQ(set.truncated, 1);
  EXPECT_EQ(read(lines, {.size = 1, .max_length = 9, .tokenizer_max_length = 3}).samples[0].size(),
            3u);
}

TEST_F(CalibrationSetTest, BadLinesAreCountedOrRefused) {
  const std::string lines = "{\"text\": \"one\"}\nno json\n{\"text\": 7}\n{\"text\": \"two\"}\n";
  EXPECT_EQ(read(lines, {.skip_bad_lines = 2}).skipped_lines, 2);
  const Error error = error_of([&] { read(lines, {.skip_bad_lines = 1}); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THROW(read("\n\n"), Error);
}

TEST(HashOfSamples, KnowsOrderAndBoundaries) {
  const std::string hash = hash_of({{1, 2}, {3}});
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(hash, hash_of({{1, 2}, {3}}));
  EXPECT_NE(hash, hash_of({{3}, {1, 2}}));
  EXPECT_NE(hash, hash_of({{1}, {2, 3}}));
}

TEST(RandomCalibrationSet, DrawsIdsOfTheVocabularyFromItsSeed) {
  const CalibrationSet set = random_calibration_set(100, 3, 50, 7);
  ASSERT_EQ(set.samples.size(), 3u);
  for (const std::vector<int32_t>& sample : set.samples) {
    EXPECT_EQ(sample.size(), 50u);
    for (const int32_t id : sample) EXPECT_TRUE(id >= 0 && id < 100) << id;
  }
  EXPECT_EQ(set.hash, random_calibration_set(100, 3, 50, 7).hash);
  EXPECT_NE(set.hash, random_calibration_set(100, 3, 50, 8).hash);
}

}  // namespace
}  // namespace octavo
