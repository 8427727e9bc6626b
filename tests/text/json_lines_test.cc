// JSON lines: broken lines are counted, named and skipped as asked.
// SPDX-License-Identifier: Apache-2.0
#include "text/json_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/test_support.h"

namespace octavo {
namespace {

class JsonLinesTest : public testing::Test {
 protected:
  std::vector<BadLine> read(std::string_view bytes, JsonLinesOptions options = {}) {
    LineReader lines(directory.write("data.jsonl", bytes));
    values.clear();
    return read_json_lines(lines, options, [&](const JsonObject& line) {
      values.push_back(line.required_int("n"));
      return values.size() < limit;
    });
  }
  TemporaryDirectory directory;
  std::vector<int64_t> values;
  size_t limit = 1'000'000;
};

TEST_F(JsonLinesTest, BlankLinesAreNoLines) {
  EXPECT_TRUE(read("{\"n\":1}\n\n  \r\n{\"n\":2}").empty());
  EXPECT_THAT(values, testing::ElementsAre(1, 2));
}

TEST_F(JsonLinesTest, ReadingStopsWhenTheHandlerHasEnough) {
  limit = 1;
  EXPECT_TRUE(read("{\"n\":1}\nbroken\n").empty());
  EXPECT_THAT(values, testing::ElementsAre(1));
}

TEST_F(JsonLinesTest, EveryBrokenLineIsNamed) {
  const Error error =
      error_of([&] { read("{\"n\":1}\n{\"n\":\n[1]\n{\"n\":2}\n{\"m\":3}\n{\"n\":\"x\"}\n"); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr("data.jsonl: line 2: "));
  EXPECT_THAT(error.what(), testing::EndsWith("; 4 malformed lines: 2, 3, 5, 6"));
}

TEST_F(JsonLinesTest, SkippingIsExact) {
  const std::string bytes = "{\"n\":1}\nx\n{\"n\":2}\ny\n";
  const auto bad = read(bytes, {.skip_bad_lines = 2});
  EXPECT_THAT(values, testing::ElementsAre(1, 2));
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_EQ(bad[0].number, 2);
  EXPECT_EQ(bad[1].number, 4);
  const Error error =
      error_of([&] { read(bytes, {.skip_bad_lines = 1, .skip_hint = "--skip-bad-lines"}); });
  EXPECT_THAT(error.what(), testing::EndsWith("2, 4 (--skip-bad-lines 2 would leave them out)"));
}

TEST_F(JsonLinesTest, AFileOfAnotherKindIsGivenUpEarly) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += "not json\n";
  const Error error = error_of([&] { read(bytes); });
  EXPECT_THAT(error.what(), testing::HasSubstr("over 20 malformed lines: 1, 2, 3,"));
  EXPECT_LT(std::string(error.what()).size(), 1024u);
}

TEST_F(JsonLinesTest, OtherErrorsPassThrough) {
  LineReader lines(directory.write("data.jsonl", "{}\n"));
  const auto refuse = [](const JsonObject&) -> bool { throw unsupported("f", "", "no"); };
  const Error error = error_of([&] { read_json_lines(lines, {.skip_bad_lines = 5}, refuse); });
  EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
}

TEST_F(JsonLinesTest, HostileLines) {
  const std::string deep(100'000, '[');
  std::string many = "{\"n\":[0";
  for (int i = 0; i < 100; ++i) many += ",0";
  many += "]}";
  const std::vector<std::string> lines = {deep,
                                          many,
                                          "{\"n\":1e999}",
                                          "{\"n\":NaN}",
                                          std::string("{\"n\":\"\0\"}", 9),
                                          "{\"n\":1}{}",
                                          "{\"n\":1,\"n\":2}",
                                          "{\"n\":\"\xff\"}"};
  for (const std::string& line : lines) {
    EXPECT_EQ(error_of([&] { read(line, {.max_values = 50}); }).category(), ErrorCategory::kBadFile)
        << line.substr(0, 40);
  }
}

}  // namespace
}  // namespace octavo
