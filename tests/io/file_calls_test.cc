// The fault hook: it sees every call, and its verdicts are obeyed.
// SPDX-License-Identifier: Apache-2.0
#include "io/file_calls.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "io/test_support.h"

namespace octavo {
namespace {

TEST(FileCalls, HookSeesEveryKindOfCall) {
  struct Recorder : FileFaults {
    Verdict before(FileCall call, std::string_view) override {
      calls.emplace_back(to_string(call));
      return {};
    }
    std::vector<std::string> calls;
  } recorder;
  const TemporaryDirectory folder;
  FileFaults* previous = set_file_faults(&recorder);
  const std::string one = folder / "one";
  const std::string two = folder / "two";
  const std::string directory = folder / "d";
  const int fd = file_calls::open(AT_FDCWD, one.c_str(), O_RDWR | O_CREAT, 0600);
  char byte = 'x';
  EXPECT_EQ(file_calls::write(fd, &byte, 1, 0, one), 1);
  EXPECT_EQ(file_calls::read(fd, &byte, 1, 0, one), 1);
  EXPECT_EQ(file_calls::sync(fd, one), 0);
  EXPECT_EQ(file_calls::close(fd, one), 0);
  EXPECT_EQ(file_calls::rename(AT_FDCWD, one.c_str(), two.c_str(), 0), 0);
  EXPECT_EQ(file_calls::make_directory(AT_FDCWD, directory.c_str(), 0700), 0);
  EXPECT_EQ(file_calls::remove(AT_FDCWD, directory.c_str(), /*is_directory=*/true), 0);
  EXPECT_EQ(set_file_faults(previous), &recorder);
  EXPECT_EQ(recorder.calls, (std::vector<std::string>{"open", "write", "read", "sync", "close",
                                                      "rename", "make directory", "remove"}));
}

TEST(FileCalls, FailedCallsAreNotMade) {
  const TemporaryDirectory folder;
  const std::string path = folder / "file";
  const PlannedFault fault(0, ENOSPC);
  EXPECT_EQ(file_calls::open(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT, 0600), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(FileCalls, InterruptedCallsAreMadeAgain) {
  const TemporaryDirectory folder;
  const std::string path = folder.write("file", "x");
  PlannedFault fault(0, EINTR);
  const int fd = file_calls::open(AT_FDCWD, path.c_str(), O_RDONLY);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(fault.calls(), 2);
  EXPECT_EQ(file_calls::close(fd, path), 0);
}

TEST(FileCalls, AFailedCloseClosesAllTheSame) {
  const TemporaryDirectory folder;
  const std::string path = folder.write("file", "x");
  const int fd = file_calls::open(AT_FDCWD, path.c_str(), O_RDONLY);
  const PlannedFault fault(0, EIO);
  EXPECT_EQ(file_calls::close(fd, path), -1);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

}  // namespace
}  // namespace octavo
