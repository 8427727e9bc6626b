// Files: exact reads, complete writes, what may be opened, and every injected fault.
// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/directory.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

std::string read_range(const File& file, uint64_t offset, size_t count) {
  std::string text(count, '?');
  file.pread_exact(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(File, ReadsRanges) {
  const TemporaryDirectory folder;
  const File file = File::open_read(folder.write("f", "0123456789"));
  EXPECT_EQ(file.size(), 10u);
  EXPECT_EQ(read_range(file, 0, 10), "0123456789");
  EXPECT_EQ(read_range(file, 7, 3), "789");
  EXPECT_EQ(read_range(file, 10, 0), "");
  EXPECT_EQ(error_of([&] { read_range(file, 8, 3); }).category(), ErrorCategory::kBadFile);
  EXPECT_EQ(error_of([&] { read_range(file, UINT64_MAX, 2); }).category(), ErrorCategory::kBadFile);
}

TEST(File, RefusesWhatIsNotARegularFile) {
  const TemporaryDirectory folder;
  make_fifo(folder / "fifo");
  EXPECT_THAT(error_of([&] { File::open_read(folder / "fifo"); }).what(),
              HasSubstr("expected a regular file, got a FIFO"));
  EXPECT_THAT(error_of([&] { File::open_read(folder.path()); }).what(),
              HasSubstr("got a directory"));
  EXPECT_THAT(error_of([&] { File::open_read("/dev/zero"); }).what(), HasSubstr("got a device"));
  EXPECT_THAT(error_of([&] { File::open_read(folder / "missing"); }).what(),
              HasSubstr("cannot open: No such file"));
  EXPECT_EQ(error_of([&] { File::open_read(folder / std::string(5000, 'x')); }).category(),
            ErrorCategory::kBadFile);
}

TEST(File, ReadsNamesThatAreNotUtf8) {
  const TemporaryDirectory folder;
  EXPECT_EQ(File::open_read(folder.write("\xff\xfe", "ok")).read_text(), "ok");
}

TEST(File, DescriptorsRunningOutIsTheEnvironment) {
  const TemporaryDirectory folder;
  folder.write("f", "x");
  for (const int error_number : {EMFILE, ENFILE, EACCES, EIO}) {
    PlannedFault fault(0, error_number);
    fault.only(FileCall::kOpen);
    EXPECT_EQ(error_of([&] { File::open_read(folder / "f"); }).category(),
              ErrorCategory::kEnvironment);
  }
}

TEST(File, CompletesShortAndInterruptedCalls) {
  const TemporaryDirectory folder;
  const Directory directory = Directory::open(folder.path());
  for (const int error_number : {0, EINTR, EAGAIN}) {
    const auto action =
        error_number == 0 ? PlannedFault::Action::kShort : PlannedFault::Action::kFail;
    directory.remove_file("f");
    File out = directory.create_file("f");
    {
      PlannedFault fault(0, error_number, action);
      fault.only(FileCall::kWrite);
      out.write_all("0123456789");
      EXPECT_EQ(fault.calls(), 2);
    }
    out.finish();
    const File in = File::open_read(folder / "f");
    PlannedFault fault(0, error_number, action);
    fault.only(FileCall::kRead);
    EXPECT_EQ(in.read_text(), "0123456789");
    EXPECT_EQ(fault.calls(), 2);
  }
}

TEST(File, EveryFailingCallIsTheEnvironment) {
  const TemporaryDirectory folder;
  const Directory directory = Directory::open(folder.path());
  for (const FileCall call :
       {FileCall::kOpen, FileCall::kWrite, FileCall::kSync, FileCall::kClose}) {
    for (const int error_number : {EIO, ENOSPC, EDQUOT, EFBIG}) {
      directory.remove_file("f");
      PlannedFault fault(0, error_number);
      fault.only(call);
      const Error error = error_of([&] {
        File out = directory.create_file("f");
        out.write_all("data");
        out.finish();
      });
      EXPECT_EQ(error.category(), ErrorCategory::kEnvironment) << to_string(call);
      EXPECT_THAT(error.what(), HasSubstr("/f: cannot ")) << to_string(call);
    }
  }
}

TEST(File, FullDiskSaysHowMuchIsFree) {
  const TemporaryDirectory folder;
  File out = Directory::open(folder.path()).create_file("f");
  PlannedFault fault(0, ENOSPC);
  fault.only(FileCall::kWrite);
  EXPECT_THAT(error_of([&] { out.write_all("data"); }).what(),
              testing::ContainsRegex(
                  "write 4 bytes at offset 0: No space left on device; [0-9]+ bytes are free"));
}

TEST(File, SizeLimitOfTheProcessIsAnError) {
  const TemporaryDirectory folder;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 1000, .rlim_max = 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      File out = Directory::open(folder.path()).create_file("f");
      out.write_all(std::string(2000, 'x'));
    } catch (const Error& error) {
      ::_exit(exit_code(error.category()));
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 5);
}

TEST(File, NoticesChanges) {
  const TemporaryDirectory folder;
  folder.write("f", "0123456789");
  const File file = File::open_read(folder / "f");
  EXPECT_NO_THROW(file.verify_unchanged());
  std::filesystem::resize_file(folder / "f", 5);
  EXPECT_EQ(error_of([&] { file.verify_unchanged(); }).category(), ErrorCategory::kEnvironment);
  const Error shorter = error_of([&] { read_range(file, 0, 10); });
  EXPECT_EQ(shorter.category(), ErrorCategory::kEnvironment);
  EXPECT_THAT(shorter.what(), HasSubstr("became shorter while it was read"));
}

TEST(File, NoticesReplacement) {
  const TemporaryDirectory folder;
  folder.write("f", "0123456789");
  const File file = File::open_read(folder / "f");
  folder.write("g", "0123456789");
  std::filesystem::rename(folder / "g", folder / "f");
  EXPECT_EQ(error_of([&] { file.verify_unchanged(); }).category(), ErrorCategory::kEnvironment);
}

TEST(File, MovesAndCloses) {
  const TemporaryDirectory folder;
  File file = File::open_read(folder.write("f", "abc"));
  const int descriptor = file.descriptor();
  File other = std::move(file);
  EXPECT_EQ(other.descriptor(), descriptor);
  other = File::open_read(folder / "f");
  other.close();
  EXPECT_EQ(::fcntl(descriptor, F_GETFD), -1);
}

TEST(FreeSpace, IsChecked) {
  EXPECT_GT(free_space("/tmp"), 0u);
  EXPECT_NO_THROW(require_free_space("/tmp", 1));
  const Error error = error_of([] { require_free_space("/tmp", uint64_t{1} << 62); });
  EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
  EXPECT_THAT(error.what(), testing::ContainsRegex(
                                "not enough space: 4611686018427387904 bytes needed, [0-9]+ free"));
}

}  // namespace
}  // namespace octavo
