// Writing engine files: order, completeness, full disks, same bytes for same input.
// SPDX-License-Identifier: Apache-2.0
#include "io/engine_file_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/atomic_directory.h"
#include "io/engine_file.h"
#include "io/test_support.h"

namespace octavo {
namespace {

void append(EngineFileWriter& writer, std::string_view name, std::string_view bytes) {
  writer.append(name, std::as_bytes(std::span(bytes)));
}

void write(const std::filesystem::path& target) {
  AtomicDirectory output(target, {});
  EngineFileWriter writer(output.create("rank0.engine"), {{"k", 1}},
                          {{"a", DType::kU8, {3}}, {"b", DType::kF32, {1}}});
  append(writer, "a", "xy");
  append(writer, "a", "z");
  append(writer, "b", "1234");
  writer.finish();
  output.commit("{}");
}

TEST(EngineFileWriter, PlacesTensorsAt256) {
  const TemporaryDirectory folder;
  AtomicDirectory output(folder / "out", {});
  const EngineFileWriter writer(
      output.create("e"), nlohmann::json::object(),
      {{"a", DType::kU8, {257}}, {"b", DType::kF32, {}}, {"c", DType::kBF16, {0}}});
  EXPECT_EQ(writer.tensors()[1].offset, 512u);
  EXPECT_EQ(writer.tensors()[2].offset, 768u);
  EXPECT_EQ(writer.payload_bytes(), 768u);
}

TEST(EngineFileWriter, SameInputSameBytes) {
  const TemporaryDirectory folder;
  write(folder / "one");
  write(folder / "two");
  EXPECT_EQ(read_bytes(folder / "one/rank0.engine"), read_bytes(folder / "two/rank0.engine"));
}

TEST(EngineFileWriter, MistakesOfTheCallerAreInternalErrors) {
  const TemporaryDirectory folder;
  AtomicDirectory output(folder / "out", {});
  EngineFileWriter writer(output.create("e"), nlohmann::json::object(),
                          {{"a", DType::kU8, {3}}, {"b", DType::kF32, {1}}});
  for (const auto& [name, bytes] : {std::pair("b", "1234"), {"c", "1"}, {"a", "1234"}}) {
    EXPECT_EQ(error_of([&, name = name, bytes = bytes] { append(writer, name, bytes); }).category(),
              ErrorCategory::kInternal);
  }
  EXPECT_EQ(error_of([&] { writer.finish(); }).category(), ErrorCategory::kInternal);
}

TEST(EngineFileWriter, FullDiskAtEveryWriteAndSync) {
  for (const int error_number : {ENOSPC, EIO, EFBIG, EDQUOT}) {
    for (const FileCall call : {FileCall::kWrite, FileCall::kSync, FileCall::kRename}) {
      for (int at = 0;; ++at) {
        const TemporaryDirectory folder;
        PlannedFault fault(at, error_number);
        fault.only(call);
        try {
          write(folder / "out");
          EXPECT_LE(fault.calls(), at) << "unnoticed";
          break;
        } catch (const Error& error) {
          EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
          EXPECT_THAT(names_in(folder.path()), testing::IsEmpty());
        }
      }
    }
  }
}

}  // namespace
}  // namespace octavo
