// LineReader: line ends, marks, caps, and files that are not text.
// SPDX-License-Identifier: Apache-2.0
#include "text/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "io/test_support.h"

namespace octavo {
namespace {

using namespace std::string_literals;

class LineReaderTest : public testing::Test {
 protected:
  std::vector<std::string> lines_of(std::string_view bytes) {
    LineReader reader(directory.write("file", bytes));
    std::vector<std::string> lines;
    while (const auto line = reader.next()) {
      EXPECT_EQ(line->number, static_cast<int64_t>(lines.size()) + 1);
      lines.emplace_back(line->text);
    }
    return lines;
  }
  TemporaryDirectory directory;
};

TEST_F(LineReaderTest, LineEnds) {
  EXPECT_THAT(lines_of(""), testing::IsEmpty());
  EXPECT_THAT(lines_of("one\ntwo\n"), testing::ElementsAre("one", "two"));
  EXPECT_THAT(lines_of("one\r\ntwo"), testing::ElementsAre("one", "two"));
  EXPECT_THAT(lines_of("\n\nthree\n"), testing::ElementsAre("", "", "three"));
  EXPECT_THAT(lines_of("a\rb\n"), testing::ElementsAre("a\rb"));
}

TEST_F(LineReaderTest, ALastLineSaysThatItHasNoEnd) {
  LineReader reader(directory.write("file", "a\nb"));
  EXPECT_TRUE(reader.next()->has_end);
  EXPECT_FALSE(reader.next()->has_end);
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST_F(LineReaderTest, ByteOrderMarkIsSkipped) {
  EXPECT_THAT(lines_of("\xef\xbb\xbfone\n"), testing::ElementsAre("one"));
  EXPECT_THAT(lines_of("\xef\xbb\xbf"), testing::IsEmpty());
}

TEST_F(LineReaderTest, LinesCrossChunks) {
  // Chunks of 1 MiB: a long line, many short ones, and a line whose end is the chunk's.
  const std::string long_line(3'500'000, 'x');
  std::string bytes = long_line + "\n";
  for (int i = 0; i < 300'000; ++i) bytes += "short\n";
  const auto lines = lines_of(bytes);
  ASSERT_EQ(lines.size(), 300'001u);
  EXPECT_EQ(lines[0], long_line);
  EXPECT_EQ(lines[300'000], "short");
  EXPECT_THAT(lines_of(std::string((1 << 20) - 1, 'y') + "\nz"),
              testing::ElementsAre(std::string((1 << 20) - 1, 'y'), "z"));
}

TEST_F(LineReaderTest, TheCapIsExact) {
  const auto path = directory.write("file", "1\n12345\n");
  LineReader reader(path, 5);
  EXPECT_EQ(reader.next()->text, "1");
  EXPECT_EQ(reader.next()->text, "12345");
  LineReader shorter(path, 4);
  shorter.next();
  const Error error = error_of([&] { shorter.next(); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::HasSubstr("line 2: expected at most 4 bytes a line"));
}

// A line that never ends is given up at the cap and not read to its end.
TEST_F(LineReaderTest, AHugeLineIsGivenUp) {
  const auto path = directory.write("huge", "text");
  std::filesystem::resize_file(path, uint64_t{1} << 30);  // the rest is a hole
  LineReader reader(path);
  EXPECT_EQ(error_of([&] { reader.next(); }).category(), ErrorCategory::kBadFile);
}

TEST_F(LineReaderTest, FirstCharacter) {
  EXPECT_EQ(LineReader(directory.write("a", "\xef\xbb\xbf \r\n\t{}")).first_character(), '{');
  EXPECT_EQ(LineReader(directory.write("b", " \n ")).first_character(), 0);
}

TEST_F(LineReaderTest, OtherFormatsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> unsupported_files = {
      {"\x1f\x8b\x08\0\0"s, "gzip"},     {"PK\x03\x04rest"s, "zip"},
      {"PK\x05\x06rest"s, "zip"},        {"\x28\xb5\x2f\xfd!"s, "zstd"},
      {"\xfd\x37zXZ\0\0"s, "xz"},        {"BZh91AY&SY..."s, "bzip2"},
      {"PAR1\x15\0"s, "a Parquet file"}, {"ARROW1\0\0"s, "an Arrow file"}};
  for (const auto& [bytes, name] : unsupported_files) {
    const Error error = error_of([&] { LineReader reader(directory.write("file", bytes)); });
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported) << name;
    EXPECT_THAT(error.what(), testing::HasSubstr(name));
  }
}

TEST_F(LineReaderTest, WideTextIsRefused) {
  for (const std::string& bytes : {"\xff\xfe{\0}\0"s, "\xfe\xff\0{\0}"s, "{\0\"\0"s, "\0{\0\""s,
                                   "\0\0\xfe\xff\0\0\0{"s, "\xff\xfe\0\0{\0\0\0"s}) {
    const Error error = error_of([&] { LineReader reader(directory.write("file", bytes)); });
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    EXPECT_THAT(error.what(), testing::HasSubstr("UTF-16"));
  }
}

TEST_F(LineReaderTest, AFailedDownloadIsRecognised) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
  EXPECT_EQ(error_of([&] { LineReader reader(directory.write("file", pointer)); }).category(),
            ErrorCategory::kBadFile);
}

TEST_F(LineReaderTest, AFileThatGrowsMeanwhileIsRefused) {
  const auto path = directory.write("file", "one\n");
  LineReader reader(path);
  std::ofstream(path, std::ios::app) << "two\n";
  reader.next();
  EXPECT_EQ(error_of([&] { reader.next(); }).category(), ErrorCategory::kEnvironment);
}

TEST_F(LineReaderTest, MissingFilesAndDirectoriesAreRefused) {
  EXPECT_EQ(error_of([&] { LineReader reader(directory / "none"); }).category(),
            ErrorCategory::kBadFile);
  EXPECT_EQ(error_of([&] { LineReader reader(directory.path()); }).category(),
            ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
