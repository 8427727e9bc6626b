// The strict JSON reader: what it accepts, and where it says an error is.
// SPDX-License-Identifier: Apache-2.0
#include "io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

struct BadText {
  std::string name, text, message;
};

class JsonRejects : public testing::TestWithParam<BadText> {};

TEST_P(JsonRejects, WithPosition) {
  const Error error = error_of([] { parse_json(GetParam().text, "f.json"); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), HasSubstr("f.json: " + GetParam().message));
  EXPECT_LT(std::string_view(error.what()).size(), 1024u);
}

INSTANTIATE_TEST_SUITE_P(
    Table, JsonRejects,
    testing::Values(
        BadText{"Empty", "", "1:1: empty"}, BadText{"OnlySpace", " \n ", "2:2: "},
        BadText{"Comment", "{\n  // why\n}", "2:3: "}, BadText{"BlockComment", "/* */ {}", "1:1: "},
        BadText{"TrailingCommaObject", "{\"a\": 1,\n}", "2:1: "},
        BadText{"TrailingCommaArray", "[1,]", "1:4: "}, BadText{"NaN", "{\"a\": NaN}", "1:7: "},
        BadText{"Infinity", "[-Infinity]", "1:3: "}, BadText{"Overflow", "[1e400]", "1:6: "},
        BadText{"NegativeOverflow", "[-1e400]", "1:7: "}, BadText{"TrailingText", "{} x", "1:4: "},
        BadText{"SecondDocument", "{}{}", "1:3: "}, BadText{"Truncated", "{\"a\": [1, 2", "1:12: "},
        BadText{"SingleQuotes", "{'a': 1}", "1:2: "}, BadText{"LeadingZero", "[01]", "1:3: "},
        BadText{"PlusSign", "[+1]", "1:2: "}, BadText{"Hex", "[0x10]", "1:3: "},
        BadText{"RawNewline", "[\"a\nb\"]", ""},
        BadText{"Duplicate", "{\"a\": 1,\n \"a\": 2}", "2:4: duplicate key \"a\""},
        BadText{"DuplicateSameValue", "{\"a\": 1, \"a\": 1}", "1:12: duplicate key \"a\""},
        BadText{"DuplicateEscaped", "{\"a\": 1, \"\\u0061\": 1}", "1:17: duplicate key \"a\""},
        BadText{"DuplicateDeep", "[{\"x\": {\"k\": 1, \"k\": 1}}]", "1:19: duplicate key \"k\""},
        BadText{"InvalidUtf8", "[\"\xff\"]", "1:3: "},
        BadText{"Overlong", "[\"\xc0\xaf\"]", "1:3: "},
        BadText{"EncodedSurrogate", "[\"\xed\xa0\x80\"]", "1:4: "},
        BadText{"LoneSurrogate", "[\"\\ud800\"]", "1:9: "},
        BadText{"NulAfterDocument", std::string("{}\0garbage", 10), "1:3: NUL byte"},
        BadText{"NulInString", std::string("[\"\0\"]", 5), "1:3: NUL byte"},
        BadText{"TwoBoms", "\xEF\xBB\xBF\xEF\xBB\xBF{}", "1:"},
        BadText{"TooDeep", nested(65), "1:65: nested deeper than 64 levels"},
        BadText{"MillionDeep", std::string(1'000'000, '['), "1:65: nested deeper than 64 levels"},
        BadText{"LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
                "1:1: looks like a Git LFS pointer"},
        BadText{"Html", "<!DOCTYPE html><html></html>", "1:1: looks like an HTML page"},
        BadText{"HostileToken", "{\"a\": \x1b[31m}", "1:7: "}),
    [](const auto& info) { return info.param.name; });

TEST(Json, AcceptsWhatTheStandardAllows) {
  for (const char* text :
       {"{}", "[]", "null", "\xEF\xBB\xBF{\"a\": 1}", " [1, -2, 3.5, 1e3, true, null] ",
        "{\"\": {\"a\": \"\\ud83d\\ude00 \\u0041\"}}", "\"text\"", "[1e-400]"}) {
    EXPECT_EQ(parse_json(text, "f").dump(), nlohmann::json::parse(text).dump()) << text;
  }
  EXPECT_EQ(parse_json(nested(64), "f").dump(), nested(64));
}

TEST(Json, KeepsTheKindOfNumbers) {
  const nlohmann::json value =
      parse_json("[1, -1, 1.0, 1e3, 18446744073709551615, 18446744073709551616]", "f");
  EXPECT_TRUE(value[0].is_number_unsigned());
  EXPECT_TRUE(value[1].is_number_integer());
  EXPECT_TRUE(value[2].is_number_float());
  EXPECT_TRUE(value[3].is_number_float());
  EXPECT_TRUE(value[4].is_number_unsigned());
  EXPECT_TRUE(value[5].is_number_float());
}

TEST(Json, LimitsBytesAndValues) {
  const Error bytes = error_of([] { parse_json("[1, 2, 3]", "f", {.bytes = 8}); });
  EXPECT_STREQ(bytes.what(), "f: expected at most 8 bytes of JSON, got 9");
  const Error values = error_of([] { parse_json("[1, 2, 3]", "f", {.values = 3}); });
  EXPECT_THAT(values.what(), HasSubstr("more than 3 values"));
  EXPECT_NO_THROW(parse_json("[1, 2, 3]", "f", {.bytes = 9, .values = 4}));
  EXPECT_THROW(parse_json("\xEF\xBB\xBF{}", "f", {.allow_bom = false}), Error);
}

TEST(Json, ReadsFiles) {
  const TemporaryDirectory folder;
  folder.write("good.json", "{\"a\": [1]}");
  EXPECT_EQ(read_json_file(folder / "good.json")["a"][0], 1);
  folder.write("bad.json", "{\n\"a\": [1}");
  const Error error = error_of([&] { read_json_file(folder / "bad.json"); });
  EXPECT_THAT(error.what(), HasSubstr("bad.json: 2:8: "));
}

TEST(Json, RefusesWhatIsNotARegularFile) {
  const TemporaryDirectory folder;
  std::filesystem::create_directory(folder / "directory");
  make_fifo(folder / "fifo");
  for (const auto& path : {folder / "directory", folder / "fifo",
                           std::filesystem::path("/dev/zero"), folder / "missing"}) {
    const Error error = error_of([&] { read_json_file(path); });
    EXPECT_EQ(error.category(), ErrorCategory::kBadFile) << path;
    EXPECT_THAT(error.what(), HasSubstr(path.string()));
  }
}

TEST(Json, RefusesTooLargeAFileWithoutReadingIt) {
  const TemporaryDirectory folder;
  folder.write("large.json", "");
  std::filesystem::resize_file(folder / "large.json", uint64_t{1} << 40);  // sparse
  const Error error = error_of([&] { read_json_file(folder / "large.json"); });
  EXPECT_THAT(error.what(),
              HasSubstr("expected at most 16777216 bytes of JSON, got 1099511627776"));
}

}  // namespace
}  // namespace octavo
