// Where a job may write; most refusals are tested in atomic_directory_test.
// SPDX-License-Identifier: Apache-2.0
#include "io/output_target.h"

#include <gtest/gtest.h>

#include "io/test_support.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

TEST(OutputTarget, ResolvesToARealPathWithAParent) {
  const TemporaryDirectory folder;
  const fs::path real = fs::canonical(folder.path());
  EXPECT_EQ(resolve_output_target(folder / "a/../b/", {}), real / "b");
  EXPECT_EQ(resolve_output_target(folder / "new/deep/out", {}), real / "new/deep/out");
  EXPECT_TRUE(fs::is_directory(folder / "new/deep"));
  EXPECT_FALSE(fs::exists(folder / "new/deep/out"));
}

TEST(OutputTarget, OverwritesOnlyEarlierOutputs) {
  const TemporaryDirectory folder;
  folder.write("out/manifest.json", "{}");
  const auto category_of = [&](const OutputOptions& options) {
    return error_of([&] { resolve_output_target(folder / "out", options); }).category();
  };
  EXPECT_NO_THROW(
      resolve_output_target(folder / "out", {.overwrite = true, .manifest = "manifest.json"}));
  EXPECT_EQ(category_of({.manifest = "manifest.json"}), ErrorCategory::kUsage);
  EXPECT_EQ(category_of({.overwrite = true}), ErrorCategory::kUsage);
}

TEST(OutputTarget, NeighboursOfAnInputAreFine) {
  const TemporaryDirectory folder;
  folder.write("model/config.json", "{}");
  EXPECT_NO_THROW(resolve_output_target(folder / "model-fp8",
                                        {.inputs = {folder / "model", folder / "missing"}}));
}

TEST(OutputTarget, ErrorsOfCreation) {
  for (const int error_number : {EACCES, EPERM, EROFS, ENAMETOOLONG}) {
    EXPECT_EQ(output_error("x", error_number).category(), ErrorCategory::kUsage);
  }
  for (const int error_number : {ENOSPC, EIO, EMFILE}) {
    EXPECT_EQ(output_error("x", error_number).category(), ErrorCategory::kEnvironment);
  }
}

}  // namespace
}  // namespace octavo
