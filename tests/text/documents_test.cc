// Documents: rows D1 to D5 of bad calibration data, and what counts as a document.
// SPDX-License-Identifier: Apache-2.0
#include "text/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "io/test_support.h"

namespace octavo {
namespace {

class DocumentsTest : public testing::Test {
 protected:
  Documents read(std::string_view name, std::string_view bytes, DocumentOptions options = {}) {
    return read_documents(directory.write(name, bytes), options);
  }
  ErrorCategory category_of(std::string_view name, std::string_view bytes) {
    return error_of([&] { read(name, bytes); }).category();
  }
  TemporaryDirectory directory;
};

TEST_F(DocumentsTest, JsonLines) {
  const Documents documents =
      read("d.jsonl",
           "\xef\xbb\xbf{\"text\":\"a\\u00e9\",\"id\":1}\r\n{\"text\":\"\"}\n{\"text\":\" \"}");
  EXPECT_EQ(documents.format, DocumentFormat::kJsonLines);
  EXPECT_THAT(documents.texts, testing::ElementsAre("aé", " "));
  EXPECT_EQ(documents.empty_documents, 1);
}

TEST_F(DocumentsTest, PlainTextIsOneDocumentAsItStands) {
  const Documents documents = read("d.txt", "\xef\xbb\xbfone\r\n\r\n{two}\n");
  EXPECT_EQ(documents.format, DocumentFormat::kPlainText);
  EXPECT_THAT(documents.texts, testing::ElementsAre("one\n\n{two}\n"));
  EXPECT_THAT(read("d.txt", "no end").texts, testing::ElementsAre("no end"));
}

TEST_F(DocumentsTest, TheNameOrTheFirstCharacterTellsTheFormat) {
  EXPECT_EQ(read("d", " {\"text\":\"a\"}\n").format, DocumentFormat::kJsonLines);
  EXPECT_EQ(read("d", "a {\n").format, DocumentFormat::kPlainText);
  EXPECT_EQ(read("d.txt", "{\"text\":\"a\"}\n").format, DocumentFormat::kPlainText);
  EXPECT_EQ(category_of("d.jsonl", "plain\n"), ErrorCategory::kBadFile);
  EXPECT_EQ(category_of("d.json", "[{\"text\":\"a\"}]\n"), ErrorCategory::kBadFile);
}

TEST_F(DocumentsTest, ReadingStopsAtTheNumberAskedFor) {
  const Documents documents =
      read("d.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\nbroken", {.max_documents = 2});
  EXPECT_THAT(documents.texts, testing::ElementsAre("a", "b"));
}

TEST_F(DocumentsTest, D1NoSamples) {
  for (const char* bytes : {"", "\n \n\r\n", "{\"text\":\"\"}\n"}) {
    const Error error = error_of([&] { read("d.jsonl", bytes); });
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    EXPECT_THAT(error.what(), testing::HasSubstr("no samples"));
  }
  EXPECT_EQ(category_of("d.txt", " \n\n"), ErrorCategory::kBadFile);
}

TEST_F(DocumentsTest, D2BrokenLinesAreNumberedAndSkippedAsAsked) {
  for (const char* line :
       {"{\"text\":", "[]", "7", "{}", "{\"text\":[\"a\"]}", "{\"text\":null}", "{\"text\":3}"}) {
    const std::string bytes = std::string("{\"text\":\"a\"}\n") + line + "\n{\"text\":\"b\"}\n";
    const Error error = error_of([&] { read("d.jsonl", bytes); });
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
    EXPECT_THAT(error.what(), testing::HasSubstr("line 2"));
    EXPECT_THAT(error.what(), testing::HasSubstr("--skip-bad-lines 1"));
    const Documents documents = read("d.jsonl", bytes, {.skip_bad_lines = 1});
    EXPECT_THAT(documents.texts, testing::ElementsAre("a", "b"));
    ASSERT_EQ(documents.bad_lines.size(), 1u);
    EXPECT_EQ(documents.bad_lines[0].number, 2);
  }
}

TEST_F(DocumentsTest, D3EncodingsAndNul) {
  EXPECT_EQ(category_of("d.jsonl", std::string("\xff\xfe{\0}\0", 6)), ErrorCategory::kBadFile);
  EXPECT_EQ(category_of("d.jsonl", std::string("{\"text\":\"a\0b\"}", 14)),
            ErrorCategory::kBadFile);
  EXPECT_EQ(category_of("d.txt", std::string("text\0more", 9)), ErrorCategory::kBadFile);
  EXPECT_EQ(category_of("d.jsonl", "{\"text\":\"\xff\"}"), ErrorCategory::kBadFile);
}

TEST_F(DocumentsTest, D4CompressedFilesAreNotExpanded) {
  EXPECT_EQ(category_of("d.jsonl", "\x1f\x8b\x08"), ErrorCategory::kUnsupported);
  EXPECT_EQ(category_of("d.txt", "PK\x03\x04"), ErrorCategory::kUnsupported);
}

TEST(DocumentFormat, Names) {
  EXPECT_EQ(to_string(DocumentFormat::kJsonLines), "jsonl");
  EXPECT_EQ(to_string(DocumentFormat::kPlainText), "text");
}

}  // namespace
}  // namespace octavo
