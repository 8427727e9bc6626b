// Writing safetensors: what is written reads back, in one file or in shards, with exact bytes.
// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/checkpoint.h"
#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::ElementsAre;

std::string filled(uint64_t bytes, char value) { return std::string(bytes, value); }
void append(SafetensorsWriter& writer, std::string_view name, std::string_view bytes) {
  writer.append(name, std::as_bytes(std::span(bytes)));
}

TEST(SafetensorsHeaderText, IsPaddedAndExact) {
  const std::vector<TensorSpec> tensors = {{"a", DType::kF32, {2, 3}}, {"b\"", DType::kE4M3, {}}};
  const std::string text = safetensors_header(tensors, {{"producer", "octavo"}});
  EXPECT_EQ(text.size() % 8, 0u);
  EXPECT_EQ(static_cast<unsigned char>(text[0]) + 256u * static_cast<unsigned char>(text[1]),
            text.size() - 8);
  EXPECT_EQ(text[8], '{');
  EXPECT_THAT(
      text.substr(8),
      testing::StartsWith(R"({"__metadata__":{"format":"pt","producer":"octavo"},"a":)"
                          R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                          R"("b\"":{"dtype":"F8_E4M3","shape":[],"data_offsets":[24,25]}})"));
}

class SafetensorsWriterTest : public testing::Test {
 protected:
  const std::vector<TensorSpec> tensors_ = {{"z", DType::kBF16, {4}},
                                            {"a", DType::kE4M3, {2, 2}},
                                            {"m", DType::kF32, {}},
                                            {"b", DType::kBF16, {0, 7}}};

  void write(const std::filesystem::path& target, uint64_t max_shard_bytes) {
    AtomicDirectory output(target, {.overwrite = true});
    SafetensorsWriter writer(output, tensors_, {.max_shard_bytes = max_shard_bytes});
    append(writer, "a", filled(3, 'a'));  // any order, interleaved
    append(writer, "z", filled(8, 'z'));
    append(writer, "m", filled(4, 'm'));
    append(writer, "a", filled(1, 'A'));
    writer.finish();
    output.commit("{}");
  }
  void check(const Checkpoint& checkpoint) {
    EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b", "m", "z"));
    for (const TensorSpec& tensor : tensors_) {
      EXPECT_EQ(checkpoint.require(tensor.name).shape, tensor.shape);
      EXPECT_EQ(checkpoint.dtype(tensor.name), tensor.dtype);
    }
    EXPECT_EQ(std::string_view(checkpoint.load("a").as<char>(), 4), "aaaA");
    EXPECT_EQ(std::string_view(checkpoint.load("z").as<char>(), 8), "zzzzzzzz");
    EXPECT_EQ(checkpoint.warnings().size(), 0u);
  }
  const TemporaryDirectory folder_;
};

TEST_F(SafetensorsWriterTest, OneFileSortedByAlignmentThenName) {
  write(folder_ / "out", 1000);
  EXPECT_THAT(names_in(folder_ / "out"), ElementsAre("config.json", "model.safetensors"));
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "out");
  check(checkpoint);
  std::vector<std::string> order;
  for (const TensorInfo& info : checkpoint.files()[0].tensors()) order.push_back(info.name);
  EXPECT_THAT(order, ElementsAre("m", "b", "z", "a"));
  for (const TensorInfo& info : checkpoint.files()[0].tensors())
    EXPECT_EQ(info.offset % size_of(*info.dtype), 0u);
}

TEST_F(SafetensorsWriterTest, ShardsWithAnIndex) {
  write(folder_ / "out", 12);
  EXPECT_THAT(names_in(folder_ / "out"),
              ElementsAre("config.json", "model-00001-of-00002.safetensors",
                          "model-00002-of-00002.safetensors", "model.safetensors.index.json"));
  check(Checkpoint::open(folder_ / "out"));
  const nlohmann::json index = read_json_file(folder_ / "out/model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 16);
  EXPECT_EQ(index["weight_map"]["z"], "model-00001-of-00002.safetensors");
  EXPECT_EQ(index["weight_map"]["m"], "model-00002-of-00002.safetensors");
}

TEST_F(SafetensorsWriterTest, ATensorAboveTheLimitHasItsOwnFile) {
  write(folder_ / "out", 1);
  EXPECT_EQ(Checkpoint::open(folder_ / "out").files().size(), 4u);
}

TEST_F(SafetensorsWriterTest, SameInputSameBytes) {
  write(folder_ / "one", 12);
  write(folder_ / "two", 12);
  for (const std::string& name : names_in(folder_ / "one")) {
    EXPECT_EQ(read_bytes(folder_ / ("one/" + name)), read_bytes(folder_ / ("two/" + name)));
  }
}

TEST_F(SafetensorsWriterTest, MistakesOfTheCallerAreInternalErrors) {
  AtomicDirectory output(folder_ / "out", {});
  SafetensorsWriter writer(output, tensors_);
  EXPECT_EQ(error_of([&] { append(writer, "unknown", "x"); }).category(), ErrorCategory::kInternal);
  EXPECT_EQ(error_of([&] { append(writer, "a", "12345"); }).category(), ErrorCategory::kInternal);
  EXPECT_EQ(error_of([&] { writer.finish(); }).category(), ErrorCategory::kInternal);
}

TEST_F(SafetensorsWriterTest, FullDiskAtEveryWrite) {
  for (int at = 0;; ++at) {
    PlannedFault fault(at, ENOSPC);
    fault.only(FileCall::kWrite);
    try {
      write(folder_ / "out", 12);
      if (fault.calls() <= at) break;
      ADD_FAILURE() << "write " << at << " failed unnoticed";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
      EXPECT_THAT(names_in(folder_.path()), testing::IsEmpty());
    }
  }
  check(Checkpoint::open(folder_ / "out"));
}

}  // namespace
}  // namespace octavo
