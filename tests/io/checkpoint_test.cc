// Checkpoint directories: single, sharded, and every way in which an index can lie.
// SPDX-License-Identifier: Apache-2.0
#include "io/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/safetensors_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

std::string one_tensor(std::string_view name, std::string_view dtype = "F32") {
  return safetensors_bytes("{" + tensor_entry(name, dtype, "[2]", 0, dtype == "F64" ? 16 : 8) + "}",
                           dtype == "F64" ? 16 : 8);
}

// Two shards with one tensor each, "a" and "b", and this index.
void write_sharded(const TemporaryDirectory& folder, std::string_view index) {
  folder.write(kFirst, one_tensor("a"));
  folder.write(kSecond, one_tensor("b"));
  folder.write(kIndex, index);
}
std::string index_of(std::string_view a, std::string_view b, std::string_view total = "16") {
  return fmt::format(R"({{"metadata":{{"total_size":{}}},"weight_map":{{"a":"{}","b":"{}"}}}})",
                     total, a, b);
}

TEST(Checkpoint, Single) {
  const TemporaryDirectory folder;
  folder.write("model.safetensors", one_tensor("a"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(checkpoint.names(), ElementsAre("a"));
  EXPECT_EQ(checkpoint.total_bytes(), 8u);
  EXPECT_EQ(checkpoint.require("a").shape, (Shape{2}));
  EXPECT_EQ(checkpoint.dtype("a"), DType::kF32);
  const Tensor tensor = checkpoint.load("a");
  EXPECT_EQ(tensor.as<uint8_t>()[7], 7);
  EXPECT_THAT(checkpoint.warnings(), IsEmpty());
  EXPECT_NO_THROW(checkpoint.verify_unchanged());
}

TEST(Checkpoint, Sharded) {
  const TemporaryDirectory folder;
  write_sharded(folder, index_of(kFirst, kSecond));
  Checkpoint opened = Checkpoint::open(folder.path());
  const Checkpoint checkpoint = std::move(opened);
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b"));
  EXPECT_EQ(checkpoint.file_of("b"), (folder / kSecond).string());
  std::array<std::byte, 2> part;
  checkpoint.read("b", 3, part);
  EXPECT_EQ(part[1], std::byte{4});
  EXPECT_THAT(checkpoint.warnings(), IsEmpty());
}

TEST(Checkpoint, FollowsTheHubCacheLayout) {
  const TemporaryDirectory folder;
  folder.write("blobs/abc", one_tensor("a"));
  std::filesystem::create_directories(folder / "snapshots/0123");
  std::filesystem::create_symlink("../../blobs/abc", folder / "snapshots/0123/model.safetensors");
  EXPECT_TRUE(Checkpoint::open(folder / "snapshots/0123").contains("a"));
}

struct BadIndex {
  std::string name, index, message;
};
void PrintTo(const BadIndex& row, std::ostream* out) { *out << row.name; }
class CheckpointRefuses : public testing::TestWithParam<BadIndex> {};

TEST_P(CheckpointRefuses, AsABadFile) {
  const TemporaryDirectory parent;
  const TemporaryDirectory folder;
  write_sharded(folder, GetParam().index);
  folder.write("both.safetensors",
               safetensors_bytes("{" + tensor_entry("a", "F32", "[2]", 0, 8) + "," +
                                     tensor_entry("b", "F32", "[2]", 8, 16) + "}",
                                 16));
  folder.write("sub/x.safetensors", one_tensor("a"));
  std::filesystem::create_symlink(parent.write("outside", one_tensor("a")),
                                  folder / "link.safetensors");
  std::filesystem::create_directory(folder / "directory.safetensors");
  make_fifo(folder / "fifo.safetensors");
  const Error error = error_of([&] { Checkpoint::open(folder.path()); });
  EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
  EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, CheckpointRefuses,
    testing::Values(BadIndex{"S26_Absolute", index_of("/etc/passwd", kSecond),
                             "weight_map.a: expected the plain name of a file in the same "
                             "directory, got \"/etc/passwd\""},
                    BadIndex{"S26_Parent", index_of("../outside", kSecond), "got \"../outside\""},
                    BadIndex{"S26_Subdirectory", index_of("sub/x.safetensors", kSecond),
                             "got \"sub/x.safetensors\""},
                    BadIndex{"S26_Nul", index_of("a\\u0000b", kSecond), "got \"a\\x00b\""},
                    BadIndex{"S26_Empty", index_of("", kSecond), "got \"\""},
                    BadIndex{"S26_DotDot", index_of("..", kSecond), "got \"..\""},
                    BadIndex{"S26_LinkOut", index_of("link.safetensors", kSecond),
                             "symbolic link that leads out of its directory"},
                    BadIndex{"S26_Directory", index_of("directory.safetensors", kSecond),
                             "expected a regular file"},
                    BadIndex{"S26_Fifo", index_of("fifo.safetensors", kSecond),
                             "expected a regular file"},
                    BadIndex{"S27_ShardMissing", index_of("gone.safetensors", kSecond),
                             "gone.safetensors: cannot open: No such file"},
                    BadIndex{"S27_NotInItsShard", index_of(kSecond, kSecond),
                             "weight_map.a: expected in \"model-00002-of-00002.safetensors\""},
                    BadIndex{"S27_InTwoShards", index_of("both.safetensors", kSecond, "24"),
                             "stands in two shards"},
                    BadIndex{"S27_TotalSizeWrong", index_of(kFirst, kSecond, "17"),
                             "metadata.total_size: expected 16 (the bytes of the tensors), got 17"},
                    BadIndex{"S27_TotalSizeString", index_of(kFirst, kSecond, "\"16\""),
                             "metadata.total_size: expected an integer"},
                    BadIndex{"S27_TotalSizeNegative", index_of(kFirst, kSecond, "-16"),
                             "metadata.total_size: expected an integer in [0, "},
                    BadIndex{"NoWeightMap", "{}", "weight_map: missing; expected an object"},
                    BadIndex{"EmptyWeightMap", R"({"weight_map":{}})",
                             "weight_map: expected at least one tensor, got none"},
                    BadIndex{"WeightMapNotStrings", R"({"weight_map":{"a":1}})",
                             "weight_map.a: expected a string, got 1"},
                    BadIndex{"WeightMapDuplicate", R"({"weight_map":{"a":"x","a":"y"}})",
                             "duplicate key \"a\""},
                    BadIndex{"NotAnObject", "[]", "expected an object, got an array"},
                    BadIndex{"NotJson", "nonsense", "1:2: "},
                    BadIndex{"LfsPointer", "version https://git-lfs.github.com/spec/v1\n",
                             "looks like a Git LFS pointer"}),
    [](const auto& info) { return info.param.name; });

TEST(Checkpoint, TensorOutsideTheIndexIsAWarning) {  // S27
  const TemporaryDirectory folder;
  write_sharded(folder, index_of(kFirst, kSecond, "24"));  // writers differ in whether it counts
  folder.write(kFirst, safetensors_bytes("{" + tensor_entry("a", "F32", "[2]", 0, 8) + "," +
                                             tensor_entry("extra", "F32", "[2]", 8, 16) + "}",
                                         16));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(checkpoint.warnings(),
              ElementsAre(HasSubstr("tensor \"extra\" is not in the index and is ignored")));
  EXPECT_FALSE(checkpoint.contains("extra"));
}

TEST(Checkpoint, PrefersTheSingleFileAndSaysSo) {  // S28
  const TemporaryDirectory folder;
  write_sharded(folder, index_of(kFirst, kSecond));
  folder.write("model.safetensors", one_tensor("c"));
  folder.write("consolidated.safetensors", "never opened");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_THAT(checkpoint.names(), ElementsAre("c"));
  EXPECT_THAT(checkpoint.warnings(),
              ElementsAre(HasSubstr("the former is read"),
                          HasSubstr("\"consolidated.safetensors\" is ignored")));
}

TEST(Checkpoint, PickleIsUnsupportedAndNotOpened) {  // S29
  for (const char* name :
       {"pytorch_model.bin", "model.pt", "weights.gguf", "consolidated.00.pth"}) {
    const TemporaryDirectory folder;
    make_fifo(folder / name);  // opening it would block
    const Error error = error_of([&] { Checkpoint::open(folder.path()); });
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr(fmt::format(
                                  "only safetensors checkpoints are supported, got \"{}\"", name)));
  }
}

TEST(Checkpoint, WithoutWeights) {
  const TemporaryDirectory folder;
  EXPECT_THAT(error_of([&] { Checkpoint::open(folder.path()); }).what(),
              HasSubstr("holds no model.safetensors and no model.safetensors.index.json"));
  EXPECT_EQ(error_of([&] { Checkpoint::open(folder / "missing"); }).category(),
            ErrorCategory::kBadFile);
  EXPECT_EQ(error_of([&] { Checkpoint::open(folder.write("file", "x")); }).category(),
            ErrorCategory::kBadFile);
}

TEST(Checkpoint, ListsMissingTensors) {  // S32
  const TemporaryDirectory folder;
  folder.write("model.safetensors", one_tensor("a"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  std::vector<std::string> names = {"a"};
  EXPECT_NO_THROW(checkpoint.require_all(names));
  for (int i = 0; i < 12; ++i) names.push_back(fmt::format("t{}", i));
  const Error error = error_of([&] { checkpoint.require_all(names); });
  EXPECT_THAT(error.what(), HasSubstr("12 of 13 required tensors are missing: \"t0\", \"t1\""));
  EXPECT_THAT(error.what(), HasSubstr("\"t9\", …"));
  EXPECT_THAT(error_of([&] { checkpoint.require("z"); }).what(),
              HasSubstr("tensor \"z\": missing"));
}

TEST(Checkpoint, UnsupportedElementTypeOnlyWhenRead) {  // S14
  const TemporaryDirectory folder;
  folder.write("model.safetensors", one_tensor("a", "F64"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(error_of([&] { checkpoint.load("a"); }).category(), ErrorCategory::kUnsupported);
}

}  // namespace
}  // namespace octavo
