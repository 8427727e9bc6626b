// Reading safetensors files: tensors, ranges, changes behind our back, sizes above 4 GiB.
// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/safetensors_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

std::string read_all(const SafetensorsFile& file, std::string_view name) {
  const TensorInfo* tensor = file.find(name);
  std::string bytes(tensor->bytes, '?');
  file.read(*tensor, 0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

class Safetensors : public testing::Test {
 protected:
  const TemporaryDirectory folder_;
  const std::filesystem::path path_ = folder_.write(
      "m.safetensors", safetensors_bytes("{\"__metadata__\":{\"format\":\"pt\"}," +
                                             tensor_entry("b", "U8", "[3]", 0, 3) + "," +
                                             tensor_entry("a", "F32", "[1,2]", 3, 11) + "}",
                                         11));
};

TEST_F(Safetensors, ReadsTensorsEvenMisalignedOnes) {
  const SafetensorsFile file = SafetensorsFile::open(path_);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.find("a")->shape, (Shape{1, 2}));
  EXPECT_EQ(file.find("a")->dtype, DType::kF32);
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(file.find(""), nullptr);
  EXPECT_EQ(read_all(file, "b"), std::string("\0\1\2", 3));
  EXPECT_EQ(read_all(file, "a"), "\3\4\5\6\7\x8\x9\xa");
  std::array<std::byte, 2> part;
  file.read(*file.find("a"), 6, part);
  EXPECT_EQ(part[0], std::byte{9});
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

TEST_F(Safetensors, ReadsNeverLeaveTheTensor) {
  const SafetensorsFile file = SafetensorsFile::open(path_);
  std::array<std::byte, 2> part;
  EXPECT_EQ(error_of([&] { file.read(*file.find("a"), 7, part); }).category(),
            ErrorCategory::kInternal);
  EXPECT_EQ(error_of([&] { file.read(*file.find("a"), UINT64_MAX, part); }).category(),
            ErrorCategory::kInternal);
}

TEST_F(Safetensors, FileCutWhileOpenIsAnErrorNotASignal) {  // S31
  const SafetensorsFile file = SafetensorsFile::open(path_);
  std::filesystem::resize_file(path_, 20);
  EXPECT_EQ(error_of([&] { read_all(file, "a"); }).category(), ErrorCategory::kEnvironment);
  EXPECT_EQ(error_of([&] { file.verify_unchanged(); }).category(), ErrorCategory::kEnvironment);
}

TEST_F(Safetensors, FileReplacedWhileOpenIsNoticed) {  // S31
  const SafetensorsFile file = SafetensorsFile::open(path_);
  EXPECT_NO_THROW(file.verify_unchanged());
  std::filesystem::rename(folder_.write("other", read_bytes(path_)), path_);
  EXPECT_THAT(error_of([&] { file.verify_unchanged(); }).what(),
              HasSubstr("was changed while it was read"));
}

TEST_F(Safetensors, ReadErrorsAreTheEnvironment) {
  const SafetensorsFile file = SafetensorsFile::open(path_);
  const PlannedFault fault(0, EIO);
  EXPECT_EQ(error_of([&] { read_all(file, "a"); }).category(), ErrorCategory::kEnvironment);
}

TEST(SafetensorsLarge, OffsetsBeyond4GiB) {  // S20, on a sparse file
  const TemporaryDirectory folder;
  constexpr uint64_t kBig = uint64_t{5} << 30;
  const std::string header = "{" + tensor_entry("big", "U8", "[5368709120]", 0, kBig) + "," +
                             tensor_entry("last", "F32", "[1]", kBig, kBig + 4) + "}";
  const auto path = folder.write("m.safetensors", little_endian(header.size()) + header);
  std::filesystem::resize_file(path, 8 + header.size() + kBig);
  std::ofstream(path, std::ios::binary | std::ios::app) << "tail";
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(read_all(file, "last"), "tail");
  std::array<std::byte, 3> part;
  file.read(*file.find("big"), kBig - 3, part);
  EXPECT_EQ(part[2], std::byte{0});
}

TEST(SafetensorsLarge, HugeClaimsAllocateNothing) {
  const TemporaryDirectory folder;
  const auto path = folder.write("m.safetensors", little_endian(99'999'999) + "{}");
  std::filesystem::resize_file(path, 100'000'100);  // sparse: the header is 99,999,997 NUL bytes
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(path); }).what(), HasSubstr("1:3: NUL byte"));
}

TEST(SafetensorsPaths, RefusesWhatCannotBeAModel) {  // S33
  const TemporaryDirectory folder;
  make_fifo(folder / "fifo");
  for (const auto& path : {folder.path(), folder / "fifo", folder / "missing",
                           folder / std::string(5000, 'x'), std::filesystem::path("/dev/zero")}) {
    EXPECT_EQ(error_of([&] { SafetensorsFile::open(path); }).category(), ErrorCategory::kBadFile);
  }
  const auto odd = folder.write("\xff.safetensors", safetensors_bytes("{}", 0));
  EXPECT_NO_THROW(SafetensorsFile::open(odd));
}

}  // namespace
}  // namespace octavo
