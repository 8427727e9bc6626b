// Lock files: one holder, named in the error; dead holders do not matter.
// SPDX-License-Identifier: Apache-2.0
#include "io/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "io/test_support.h"

namespace octavo {
namespace {

TEST(FileLock, HasOneHolder) {
  const TemporaryDirectory folder;
  const Directory directory = Directory::open(folder.path());
  auto first = std::make_unique<FileLock>(directory, ".x.lock");
  const Error error = error_of([&] { FileLock second(directory, ".x.lock"); });
  EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
  EXPECT_THAT(error.what(), testing::HasSubstr(fmt::format("locked by process {}", ::getpid())));
  first.reset();
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{});
  EXPECT_NO_THROW(FileLock(directory, ".x.lock"));
}

TEST(FileLock, ALeftOverFileIsNoLock) {
  const TemporaryDirectory folder;
  const Directory directory = Directory::open(folder.path());
  folder.write(".x.lock", "1");
  EXPECT_NO_THROW(FileLock(directory, ".x.lock"));
}

TEST(FileLock, NamesTheOtherProcess) {
  const TemporaryDirectory folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Directory directory = Directory::open(folder.path());
    const FileLock lock(directory, ".x.lock");
    [[maybe_unused]] const ssize_t told = ::write(ready[1], "x", 1);
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const Directory directory = Directory::open(folder.path());
  EXPECT_THAT(error_of([&] { FileLock lock(directory, ".x.lock"); }).what(),
              testing::HasSubstr(fmt::format("process {}", child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(FileLock(directory, ".x.lock"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FileLock, DoesNotFollowLinks) {
  const TemporaryDirectory folder;
  folder.write("precious", "x");
  std::filesystem::create_symlink("precious", folder / ".x.lock");
  const Directory directory = Directory::open(folder.path());
  EXPECT_THROW(FileLock(directory, ".x.lock"), Error);
  EXPECT_EQ(read_bytes(folder / "precious"), "x");
}

}  // namespace
}  // namespace octavo
