// Hostile safetensors headers: each kind is refused with its reason (faults S1-S19 of one file).
// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ctime>

#include "io/safetensors.h"
#include "io/safetensors_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

struct BadFile {
  std::string name;
  std::string bytes;
  std::string message;
};
void PrintTo(const BadFile& file, std::ostream* out) { *out << file.name; }

class SafetensorsRefuses : public testing::TestWithParam<BadFile> {};

TEST_P(SafetensorsRefuses, AsABadFile) {
  const TemporaryDirectory folder;
  const auto path = folder.write("model.safetensors", GetParam().bytes);
  const Error error = error_of([&] { SafetensorsFile::open(path); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), testing::StartsWith(path.string() + ": "));
  EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  EXPECT_LE(std::string_view(error.what()).size(), 1024u);
}

std::string good() { return braces(tensor_entry("a", "F32", "[2]", 0, 8)); }
BadFile header(std::string name, std::string text, uint64_t data, std::string message) {
  return {std::move(name), safetensors_bytes(text, data), std::move(message)};
}
// One F32 tensor of two elements with one field replaced.
BadFile shape(std::string name, std::string value, std::string message) {
  return header(std::move(name),
                fmt::format(R"({{"a":{{"dtype":"F32","shape":{},"data_offsets":[0,8]}}}})", value),
                8, std::move(message));
}
BadFile offsets(std::string name, std::string value, std::string message) {
  return header(std::move(name),
                fmt::format(R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":{}}}}})", value), 8,
                std::move(message));
}

std::vector<BadFile> size_rows() {
  const std::string whole = safetensors_bytes(good(), 8);
  return {
      {"S1_Empty", "", "file too small for a header: expected at least 8 bytes, got 0"},
      {"S1_OneByte", "x", "got 1"},
      {"S1_SevenBytes", "1234567", "got 7"},
      {"S2_LengthBeyondFile", little_endian(100) + "{}",
       "header of 100 bytes does not fit in a file of 10 bytes"},
      {"S3_LengthAboveLimit", little_endian(100'000'001) + "{}",
       "expected at most 100000000 bytes, got 100000001"},
      {"S3_Length2To63", little_endian(uint64_t{1} << 63) + "{}", "got 9223372036854775808"},
      {"S3_LengthMax", little_endian(UINT64_MAX) + "{}", "got 18446744073709551615"},
      {"S3_LengthWraps", little_endian(UINT64_MAX - 7) + "{}", "got 18446744073709551608"},
      {"S9_TrailingBytes", whole + "PK\3\4", "has 4 bytes after the last tensor"},
      {"S10_OneByteShort", whole.substr(0, whole.size() - 1),
       "is 1 bytes short: expected 8 bytes of tensors, got 7"},
      {"S10_AllDataMissing", whole.substr(0, whole.size() - 8), "is 8 bytes short"},
      header("S10_MegabytesShort", "{" + tensor_entry("a", "U8", "[25000000]", 0, 25000000) + "}",
             100, "is 24999900 bytes short"),
      {"S30_LfsPointer",
       "version https://git-lfs.github.com/spec/v1\noid "
       "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n",
       "looks like a Git LFS pointer"},
      {"S30_Html", "<!DOCTYPE html>\n<html><body>Not found</body></html>",
       "looks like an HTML page"},
      {"S30_HtmlUpperCase", "<HTML><BODY>", "looks like an HTML page"},
  };
}

std::vector<BadFile> json_rows() {
  return {
      header("S4_NotUtf8", "{\"\xff\":1}", 0, "1:3: "),
      header("S4_Overlong", "{\"\xc0\xaf\":1}", 0, "1:3: "),
      header("S4_LoneSurrogate", "{\"\\ud800\":1}", 0, "(byte 8)"),
      header("S5_NotJson", "not json", 0, "1:2: "),
      header("S5_Truncated", "{\"a\":{\"dtype\"", 0, "1:"),
      header("S5_EmptyHeader", "", 0, "1:1: empty; expected JSON"),
      header("S5_TextAfterBrace", good() + "x", 8, "expected end of input"),
      header("S5_NulPadding", good() + std::string(2, '\0'), 8, "NUL byte"),
      header("S5_ByteOrderMark", "\xEF\xBB\xBF" + good(), 8, "byte order mark"),
      header("S5_Array", "[]", 0, "header: expected an object, got an array"),
      header("S5_Null", "null", 0, "header: expected an object, got null"),
      header("S7_DuplicateTensor",
             "{" + tensor_entry("a", "U8", "[1]", 0, 1) + "," +
                 tensor_entry("b", "U8", "[1]", 1, 2) + "," +
                 tensor_entry("a", "F32", "[1]", 2, 6) + "}",
             6, "1:108: duplicate key \"a\""),
      header("S7_DuplicateField",
             R"({"a":{"dtype":"U8","dtype":"F32","shape":[4],"data_offsets":[0,4]}})", 4,
             "duplicate key \"dtype\""),
      header("S7_DuplicateMetadata", R"({"__metadata__":{"a":"b"},"__metadata__":{"a":"c"}})", 0,
             "duplicate key \"__metadata__\""),
      header("S7_DuplicateMetadataKey", R"({"__metadata__":{"a":"b","a":"c"}})", 0,
             "duplicate key \"a\""),
      header("S19_MetadataObject", R"({"__metadata__":{"a":{"b":"c"}}})", 0,
             "__metadata__: expected a string, got an object"),
      header("S19_MetadataNumber", R"({"__metadata__":{"a":1}})", 0,
             "__metadata__: expected a string, got 1"),
      header("S19_MetadataNull", R"({"__metadata__":null})", 0,
             "__metadata__: expected an object, got null"),
      header("S19_MetadataMillionDeep", "{\"__metadata__\":" + std::string(1'000'000, '['), 0,
             "expected an object, got an array"),
      header("S19_MillionDeep", std::string(1'000'000, '['), 0, "expected an object, got an array"),
      header("EntryNotObject", R"({"a":1})", 0, "tensor \"a\": expected an object, got 1"),
      header("UnknownField",
             R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}})", 1,
             "tensor \"a\": unknown field \"strides\""),
      header("MissingDtype", R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1,
             "tensor \"a\": missing \"dtype\""),
      header("MissingShape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1,
             "tensor \"a\": missing \"shape\""),
      header("MissingOffsets", R"({"a":{"dtype":"U8","shape":[1]}})", 1,
             "tensor \"a\": missing \"data_offsets\""),
      header("DtypeNumber", R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1,
             "tensor \"a\": expected a string, got 8"),
      header("DtypeNull", R"({"a":{"dtype":null,"shape":[1],"data_offsets":[0,1]}})", 1,
             "tensor \"a\": expected a string, got null"),
      header("HostileName", R"({"\u001b[31m\u202e../../etc/passwd":1})", 0,
             R"(tensor "\x1b[31m\xe2\x80\xae../../etc/passwd": expected an object)"),
      header("S17_NameOf64KiB", "{\"" + std::string(65536, 'n') + "\":1}", 0,
             "nnn…\": expected an object"),
  };
}

std::vector<BadFile> range_rows() {
  std::string ten = "{";
  for (int i = 0; i < 10; ++i)
    ten +=
        fmt::format("{}{}", i ? "," : "", tensor_entry(fmt::format("t{}", i), "U8", "[4]", 0, 4));
  return {
      header("S8_Overlap",
             "{" + tensor_entry("a", "U8", "[4]", 0, 4) + "," +
                 tensor_entry("b", "U8", "[4]", 2, 6) + "}",
             6,
             "tensor \"b\": data_offsets overlap the tensor before: expected to begin at 4, got 2"),
      header("S8_TenOnOneRange", ten + "}", 4, "data_offsets overlap the tensor before"),
      header("S9_Hole",
             "{" + tensor_entry("a", "U8", "[4]", 0, 4) + "," +
                 tensor_entry("b", "U8", "[4]", 5, 9) + "}",
             9, "tensor \"b\": data_offsets leave a hole: expected to begin at 4, got 5"),
      header("S9_FirstNotZero", "{" + tensor_entry("a", "U8", "[4]", 4, 8) + "}", 8,
             "tensor \"a\": data_offsets leave a hole: expected to begin at 0, got 4"),
      header("S9_DataWithoutTensors", "{}", 4, "has 4 bytes after the last tensor"),
      offsets("S11_EndBeforeBegin", "[8,0]", "data_offsets end before they begin: [8, 0]"),
      offsets("S11_Negative", "[-1,7]", "expected an offset (an integer from 0), got -1"),
      offsets("S11_NegativeZero", "[-0,8]", "expected an offset (an integer from 0), got 0"),
      offsets("S11_Fraction", "[0,8.5]", "expected an offset (an integer from 0), got 8.5"),
      offsets("S11_Exponent", "[0,1e3]", "expected an offset (an integer from 0), got 1000"),
      offsets("S11_String", "[0,\"8\"]", "expected an offset (an integer from 0), got \"8\""),
      offsets("S11_Above64Bits", "[0,18446744073709551624]",
              "expected an offset (an integer from 0), got 1.8446744073709552e+19"),
      offsets("S11_HugeEnd", "[0,18446744073709551615]", "is 18446744073709551607 bytes short"),
      offsets("S11_One", "[0]", "expected two offsets, got 1"),
      offsets("S11_Three", "[0,8,8]", "expected two offsets, got more"),
      offsets("S11_NotAnArray", "8", "expected an array of integers, got 8"),
      shape("S11_ShapeNegative", "[-2]", "expected a dimension (an integer from 0), got -2"),
      shape("S11_ShapeFraction", "[1.5]", "expected a dimension (an integer from 0), got 1.5"),
      shape("S11_ShapeWholeFloat", "[2.0]", "expected a dimension (an integer from 0), got 2"),
      shape("S11_ShapeString", "[\"2\"]", "expected a dimension (an integer from 0), got \"2\""),
      shape("S11_ShapeAbove64Bits", "[18446744073709551618]",
            "expected a dimension (an integer from 0), got 1.8446744073709552e+19"),
      shape("S11_ShapeAbove63Bits", "[9223372036854775808]",
            "dimension 9223372036854775808 is too large"),
      shape("S11_ShapeNested", "[[2]]", "expected a dimension (an integer from 0), got an array"),
      shape("S12_ProductOverflows", "[4294967296,4294967296,2]",
            "shape [4294967296, 4294967296, 2] is too large"),
      shape("S12_ProductWrapsToTwo", "[9223372036854775807,2]", "is too large"),
      shape("S12_BytesOverflow", "[4611686018427387904]", "is too large"),
      shape("S12_ZeroHidesOverflow", "[0,9223372036854775807,9223372036854775807]", "is too large"),
      header("S12_HalfAByte", "{" + tensor_entry("a", "F4", "[3]", 0, 1) + "}", 1,
             "F4 [3] does not fill whole bytes"),
      shape("S13_ShapeTooLarge", "[3]", "tensor \"a\": expected 12 bytes for F32 [3], got 8"),
      shape("S13_ShapeTooSmall", "[1]", "tensor \"a\": expected 4 bytes for F32 [1], got 8"),
      header("S13_WrongDtype", "{" + tensor_entry("a", "BF16", "[2]", 0, 8) + "}", 8,
             "expected 4 bytes for BF16 [2], got 8"),
      shape("S17_RankNine", "[1,1,1,1,1,1,1,1,2]", "expected at most 8 dimensions"),
  };
}

const auto kName = [](const auto& info) { return info.param.name; };
INSTANTIATE_TEST_SUITE_P(Sizes, SafetensorsRefuses, testing::ValuesIn(size_rows()), kName);
INSTANTIATE_TEST_SUITE_P(Json, SafetensorsRefuses, testing::ValuesIn(json_rows()), kName);
INSTANTIATE_TEST_SUITE_P(Ranges, SafetensorsRefuses, testing::ValuesIn(range_rows()), kName);

SafetensorsHeader parse(const std::string& text, uint64_t data_bytes) {
  return parse_safetensors_header(std::as_bytes(std::span(text)), 8 + text.size() + data_bytes,
                                  "f");
}

TEST(SafetensorsHeader, AcceptsWhatIsHarmless) {
  EXPECT_EQ(parse("{}", 0).tensors.size(), 0u);
  EXPECT_EQ(parse(" \n\t" + good() + "   \n", 8).tensors.size(), 1u);  // S6
  // S16: rank 0, zero dimensions, and empty tensors that share an offset.
  const SafetensorsHeader header = parse("{" + tensor_entry("e2", "F32", "[0,5]", 4, 4) + "," +
                                             tensor_entry("s", "F32", "[]", 0, 4) + "," +
                                             tensor_entry("e1", "F32", "[0]", 4, 4) + "," +
                                             tensor_entry("b", "U8", "[1]", 4, 5) + "}",
                                         5);
  ASSERT_EQ(header.tensors.size(), 4u);
  EXPECT_EQ(header.tensors[0].shape.rank(), 0);
  EXPECT_EQ(header.tensors[0].bytes, 4u);
  EXPECT_EQ(header.tensors[3].name, "b");
  EXPECT_EQ(parse(R"({"__metadata__":{"format":"pt"}})", 0).metadata.at("format"), "pt");
}

TEST(SafetensorsHeader, NamesAreNeverPaths) {  // S17
  for (const std::string name : {"", "../../etc/passwd", "a\\u0000b", "a\\nb", "\\u202e"}) {
    EXPECT_EQ(parse(braces(tensor_entry(name, "U8", "[1]", 0, 1)), 1).tensors.size(), 1u) << name;
  }
}

TEST(SafetensorsHeader, RefusesElementTypesOnlyWhenNeeded) {  // S14
  for (const auto& [dtype, bytes] : {std::pair("F64", 8),
                                     {"F8_E5M2", 1},
                                     {"F8_E8M0", 1},
                                     {"BOOL", 1},
                                     {"C64", 8},
                                     {"X9", 3},
                                     {"", 3}}) {
    const SafetensorsHeader header =
        parse(braces(tensor_entry("a", dtype, "[1]", 0, bytes)), bytes);
    EXPECT_FALSE(header.tensors[0].dtype.has_value());
    const Error error = error_of([&] { header.tensors[0].require_dtype("f"); });
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_EQ(error.what(), fmt::format("f: tensor \"a\": element type \"{}\" is not supported; "
                                        "supported: F32, BF16, F16, F8_E4M3, I32, I64, U8, I8",
                                        dtype));
  }
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kE4M3, DType::kI32,
                            DType::kI64, DType::kU8}) {
    const auto bytes = static_cast<uint64_t>(size_of(dtype));
    EXPECT_EQ(parse(braces(tensor_entry("a", safetensors_name(dtype), "[1]", 0, bytes)), bytes)
                  .tensors[0]
                  .require_dtype("f"),
              dtype);
  }
}

TEST(SafetensorsHeader, AMillionEntriesTakeSecondsNotMinutes) {  // S18
  std::string text(1, '{');
  text.reserve(90'000'000);
  constexpr int kEntries = 1'000'000;
  for (int i = 0; i < kEntries; ++i) {
    if (i > 0) text += ',';
    text += tensor_entry(fmt::format("model.layers.{}.w", i), "U8", "[1]", i, i + 1);
  }
  text += "}";
  const std::clock_t start =
      std::clock();  // processor time: other load on the machine is no fault of ours
  EXPECT_EQ(parse(text, kEntries).tensors.size(), static_cast<size_t>(kEntries));
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  RecordProperty("seconds", fmt::format("{:.2f}", seconds));
#ifdef NDEBUG
  EXPECT_LT(seconds, 5.0);
#endif
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  RecordProperty("peak_kib", fmt::format("{}", usage.ru_maxrss));
}

}  // namespace
}  // namespace octavo
