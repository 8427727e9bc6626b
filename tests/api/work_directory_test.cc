// Folders for what is made on the way.
// SPDX-License-Identifier: Apache-2.0
#include "api/work_directory.h"

#include <gtest/gtest.h>

#include <optional>

#include "io/test_support.h"

namespace octavo {
namespace {

TEST(WorkDirectory, LivesAsLongAsTheObject) {
  const TemporaryDirectory parent;
  std::optional<WorkDirectory> work(parent.path());
  const std::filesystem::path path = work->path();
  EXPECT_EQ(path.parent_path(), parent.path());
  std::ofstream(path / "file") << "text";
  work.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(WorkDirectory, NowhereToMakeOneIsAnError) {
  const Error error = error_of([] { WorkDirectory work("/proc/none"); });
  EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
  EXPECT_EQ(error.field(), "workspace");
}

}  // namespace
}  // namespace octavo
