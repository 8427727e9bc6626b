// Engine files: round trip, and every damaged or hand-edited file is refused.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "io/atomic_directory.h"
#include "io/engine_file_writer.h"
#include "io/little_endian.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

std::string pattern(uint64_t bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(bytes, '\0');
  for (char& byte : text) byte = static_cast<char>(random());
  return text;
}

std::vector<EngineTensor> small_tensors() {
  return {{"empty_first", DType::kF32, {0}}, {"w", DType::kE4M3, {3, 100}},
          {"scale", DType::kF32, {}},        {"middle", DType::kF32, {4, 0}},
          {"norm", DType::kBF16, {33}},      {"empty_last", DType::kU8, {0}}};
}

// Writes `tensors` with contents drawn from their position in the list.
void write_engine(const std::filesystem::path& directory, const std::vector<EngineTensor>& tensors,
                  size_t piece = SIZE_MAX) {
  AtomicDirectory output(directory, {.overwrite = true});
  EngineFileWriter writer(output.create("rank0.engine"), {{"build_id", "x"}, {"layers", 4}},
                          tensors);
  for (size_t i = 0; i < writer.tensors().size(); ++i) {
    const EngineTensor& tensor = writer.tensors()[i];
    const std::string text = pattern(tensor.bytes, i);
    for (auto bytes = std::as_bytes(std::span(text)); !bytes.empty();) {
      const auto part = bytes.first(std::min(piece, bytes.size()));
      writer.append(tensor.name, part);
      bytes = bytes.subspan(part.size());
    }
  }
  writer.finish();
  output.commit("{}");
}

std::string small_engine() {
  const TemporaryDirectory folder;
  write_engine(folder / "e", small_tensors());
  return read_bytes(folder / "e/rank0.engine");
}

std::string read_tensor(const EngineFile& file, const EngineTensor& tensor) {
  std::string text(tensor.bytes, '?');
  file.read(tensor, 0, std::as_writable_bytes(std::span(text)));
  return text;
}

// Opens and reads everything; the error, or nothing.
std::optional<Error> problem_of(const std::string& bytes) {
  const TemporaryDirectory folder;
  try {
    const EngineFile file = EngineFile::open(folder.write("rank0.engine", bytes));
    file.verify();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

TEST(EngineFile, RoundTrip) {
  const TemporaryDirectory folder;
  write_engine(folder / "e", small_tensors(), /*piece=*/7);
  const EngineFile file = EngineFile::open(folder / "e/rank0.engine");
  EXPECT_EQ(file.meta().at("layers"), 4);
  ASSERT_EQ(file.tensors().size(), 6u);
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const EngineTensor& tensor = file.tensors()[i];
    EXPECT_EQ(tensor.offset % kEngineAlignment, 0u);
    EXPECT_EQ(tensor.name, small_tensors()[i].name);
    EXPECT_EQ(tensor.dtype, small_tensors()[i].dtype);
    EXPECT_EQ(tensor.shape, small_tensors()[i].shape);
    EXPECT_EQ(read_tensor(file, tensor), pattern(tensor.bytes, i));
  }
  std::array<std::byte, 5> part;
  file.read(file.require("w"), 290, part);
  EXPECT_EQ(std::string_view(reinterpret_cast<char*>(part.data()), 5),
            pattern(300, 1).substr(290, 5));
  EXPECT_EQ(file.find("none"), nullptr);
  EXPECT_THAT(error_of([&] { file.require("none"); }).what(),
              HasSubstr("tensor \"none\": missing"));
  EXPECT_EQ(error_of([&] { file.read(file.require("scale"), 1, part); }).category(),
            ErrorCategory::kInternal);
}

TEST(EngineFile, WithoutTensors) {
  const TemporaryDirectory folder;
  write_engine(folder / "e", {});
  EXPECT_EQ(EngineFile::open(folder / "e/rank0.engine").payload_bytes(), 0u);
}

TEST(EngineFile, SeveralChunks) {
  const TemporaryDirectory folder;
  const int64_t chunk = static_cast<int64_t>(kEngineChunkBytes);
  write_engine(
      folder / "e",
      {{"a", DType::kU8, {100}}, {"b", DType::kU8, {chunk + 5}}, {"c", DType::kF32, {chunk / 4}}},
      1'000'003);
  const EngineFile file = EngineFile::open(folder / "e/rank0.engine");
  EXPECT_GT(file.payload_bytes(), 2 * kEngineChunkBytes);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(read_tensor(file, file.tensors()[i]), pattern(file.tensors()[i].bytes, i));
  std::vector<std::byte> payload(file.payload_bytes());
  ThreadPool pool(3);
  EngineFile::open(folder / "e/rank0.engine").read_payload(payload, pool);
  for (size_t i = 0; i < 3; ++i) {
    const EngineTensor& tensor = file.tensors()[i];
    EXPECT_EQ(
        std::string_view(reinterpret_cast<char*>(payload.data()) + tensor.offset, tensor.bytes),
        pattern(tensor.bytes, i));
  }
  // Damage in the second chunk: the first still reads, the second is named.
  std::fstream raw(folder / "e/rank0.engine", std::ios::in | std::ios::out | std::ios::binary);
  raw.seekp(static_cast<std::streamoff>(kEngineChunkBytes + 100'000));
  raw.put('!');
  raw.close();
  const EngineFile damaged = EngineFile::open(folder / "e/rank0.engine");
  EXPECT_EQ(read_tensor(damaged, damaged.require("a")), pattern(100, 0));
  EXPECT_THAT(error_of([&] { read_tensor(damaged, damaged.require("c")); }).what(),
              HasSubstr("checksum does not match"));
  EXPECT_EQ(error_of([&] { damaged.read_payload(payload, pool); }).category(),
            ErrorCategory::kBadFile);
}

TEST(EngineFile,
     EveryFlippedBitIsFound) {  // E3: all bits of both ends, one bit of each byte between
  const std::string good = small_engine();
  EXPECT_FALSE(problem_of(good).has_value());
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    const size_t at = bit / 8;
    if (at >= 64 && at + 64 < good.size() && bit % 8 != at * 5 % 8) continue;
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit % 8);
    const auto error = problem_of(bytes);
    ASSERT_TRUE(error.has_value()) << "bit " << bit << " of " << 8 * good.size();
    EXPECT_TRUE(error->category() == ErrorCategory::kBadFile ||
                error->category() == ErrorCategory::kUnsupported);
  }
}

TEST(EngineFile, EveryTruncationIsFound) {  // E4
  const std::string good = small_engine();
  for (size_t size = 0; size < good.size(); ++size) {
    const auto error = problem_of(good.substr(0, size));
    ASSERT_TRUE(error.has_value()) << size;
    EXPECT_EQ(error->category(), ErrorCategory::kBadFile);
  }
  EXPECT_THAT(problem_of("")->what(), HasSubstr("too small for an engine file: 0 bytes"));
  EXPECT_THAT(problem_of(good + "x")->what(), HasSubstr("longer than its header says"));
  EXPECT_THAT(problem_of(good.substr(0, good.size() - 1))->what(), HasSubstr("truncated"));
}

TEST(EngineFile, OtherFormatVersionsAreNamed) {  // E5
  for (const char version : {0, 2, 9}) {
    std::string bytes = small_engine();
    bytes[8] = version;
    const auto error = problem_of(bytes);
    EXPECT_EQ(error->category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error->what(),
                HasSubstr(fmt::format("format version: expected 1, got {}", int{version})));
  }
}

TEST(EngineFile, OtherFilesAreNotEngines) {
  EXPECT_THAT(problem_of(std::string(64, 'x'))->what(),
              HasSubstr("magic: not an Octavo engine file"));
  EXPECT_THAT(
      problem_of("version https://git-lfs.github.com/spec/v1\noid sha256:\nsize 5\n")->what(),
      HasSubstr("Git LFS pointer"));
}

struct EditedHeader {
  std::string name, text, message;
};
void PrintTo(const EditedHeader& row, std::ostream* out) { *out << row.name; }
class EditedEngine : public testing::TestWithParam<EditedHeader> {};

// E7: a header edited by hand, with its checksum made right again.
TEST_P(EditedEngine, IsRefused) {
  const std::string& text = GetParam().text;
  const auto prefix = engine_prefix(text);
  std::string bytes(reinterpret_cast<const char*>(prefix.data()), prefix.size());
  bytes += text;
  bytes.resize(engine_layout(text.size(), 0).payload_start + 8 + 1024);
  const auto error = problem_of(bytes);
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->category(), ErrorCategory::kInternal);
  EXPECT_THAT(error->what(), HasSubstr(GetParam().message));
}

std::string edited(std::string_view tensor, std::string_view payload = "8") {
  return fmt::format(R"({{"meta":{{}},"payload_bytes":{},"tensors":[{}]}})", payload, tensor);
}
std::string entry(std::string_view dtype, std::string_view shape, std::string_view offset,
                  std::string_view bytes) {
  return fmt::format(R"({{"name":"a","dtype":{},"shape":{},"offset":{},"bytes":{}}})", dtype, shape,
                     offset, bytes);
}

INSTANTIATE_TEST_SUITE_P(
    Table, EditedEngine,
    testing::Values(
        EditedHeader{"NotJson", "x", "1:1: "},
        EditedHeader{"NotAnObject", "[]", "expected an object, got an array"},
        EditedHeader{"NoTensors", R"({"meta":{},"payload_bytes":0})", "tensors: missing"},
        EditedHeader{"NoPayload", R"({"meta":{},"tensors":[]})", "payload_bytes: missing"},
        EditedHeader{"NoMeta", R"({"payload_bytes":0,"tensors":[]})", "meta: missing"},
        EditedHeader{"MetaNotAnObject", R"({"meta":1,"payload_bytes":0,"tensors":[]})",
                     "meta: expected an object, got 1"},
        EditedHeader{"PayloadTooLong", edited("", "1000000000000"),
                     "payload_bytes: expected at most"},
        EditedHeader{"PayloadNegative", edited("", "-1"),
                     "payload_bytes: expected an integer in [0, "},
        EditedHeader{"PayloadNotTheEnd", edited("", "8"),
                     "payload_bytes: expected 0, the end of the last tensor, got 8"},
        EditedHeader{"FileTooLong", edited("", "0"), "longer than its header says"},
        EditedHeader{"DtypeUnknown", edited(entry("\"float64\"", "[1]", "0", "8")),
                     "tensors[0].dtype: \"float64\" is not supported"},
        EditedHeader{"DtypeNumber", edited(entry("1", "[1]", "0", "8")),
                     "tensors[0].dtype: expected a string, got 1"},
        EditedHeader{"BytesWrong", edited(entry("\"float32\"", "[2]", "0", "9")),
                     "tensors[0].bytes: expected 8, as dtype and shape say, got 9"},
        EditedHeader{"ShapeOverflow",
                     edited(entry("\"float32\"", "[4294967296,4294967296]", "0", "8")),
                     "a shape that is not too large"},
        EditedHeader{"ShapeNegative", edited(entry("\"float32\"", "[-2]", "0", "8")),
                     "tensors[0].shape[0]: expected an integer in [0, "},
        EditedHeader{"RankNine", edited(entry("\"uint8\"", "[1,1,1,1,1,1,1,1,8]", "0", "8")),
                     "at most 8 dimensions"},
        EditedHeader{"OffsetUnaligned", edited(entry("\"float32\"", "[2]", "4", "8")),
                     "tensors[0].offset: expected 0, behind the tensor before, got 4"},
        EditedHeader{"OffsetHuge", edited(entry("\"float32\"", "[2]", "18446744073709551615", "8")),
                     "tensors[0].offset: expected an integer"},
        EditedHeader{"Overlap",
                     edited(entry("\"float32\"", "[2]", "0", "8") + "," +
                            entry("\"float32\"", "[2]", "0", "8")),
                     "tensors[1].offset: expected 256"},
        EditedHeader{"SameName",
                     edited(entry("\"float32\"", "[2]", "0", "8") + "," +
                                entry("\"float32\"", "[2]", "256", "8"),
                            "264"),
                     "tensors[1].name: expected a name that no other tensor has"},
        EditedHeader{"DuplicateKey", R"({"meta":{},"meta":{},"payload_bytes":0,"tensors":[]})",
                     "duplicate key \"meta\""},
        EditedHeader{"TooDeep", R"({"meta":)" + std::string(100000, '['),
                     "nested deeper than 64 levels"}),
    [](const auto& info) { return info.param.name; });

TEST(EngineFile, HugeHeaderLengthAllocatesNothing) {
  std::string bytes = small_engine();
  for (const uint64_t length :
       {UINT64_MAX, UINT64_MAX - 31, uint64_t{1} << 40, uint64_t{bytes.size()}}) {
    store_little_endian(length, std::as_writable_bytes(std::span(bytes)).subspan(16, 8));
    EXPECT_THAT(problem_of(bytes)->what(), HasSubstr("header length: expected at most"));
  }
}

TEST(EngineFile, SurvivesRemovalWhileOpen) {  // E9
  const TemporaryDirectory folder;
  write_engine(folder / "e", small_tensors());
  const EngineFile file = EngineFile::open(folder / "e/rank0.engine");
  std::filesystem::remove_all(folder / "e");
  EXPECT_EQ(read_tensor(file, file.require("w")), pattern(300, 1));
}

TEST(EngineFile, SurvivesReplacementWhileOpen) {  // E9: the old file stays readable, and that it is
                                                  // old is noticed
  const TemporaryDirectory folder;
  write_engine(folder / "e", small_tensors());
  const EngineFile file = EngineFile::open(folder / "e/rank0.engine");
  write_engine(folder / "e", {{"other", DType::kU8, {5}}});
  EXPECT_EQ(read_tensor(file, file.require("w")), pattern(300, 1));
  EXPECT_EQ(error_of([&] { file.verify_unchanged(); }).category(), ErrorCategory::kEnvironment);
}

TEST(EngineFile, ReadErrorsAreTheEnvironment) {
  const TemporaryDirectory folder;
  write_engine(folder / "e", small_tensors());
  for (int at = 0;; ++at) {
    PlannedFault fault(at, EIO);
    try {
      EngineFile::open(folder / "e/rank0.engine").verify();
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
    }
    if (fault.calls() <= at) break;
  }
}

}  // namespace
}  // namespace octavo
