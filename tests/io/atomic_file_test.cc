// Atomic single files: old or new, whatever fails; devices are written to, not replaced.
// SPDX-License-Identifier: Apache-2.0
#include "io/atomic_file.h"

#include <gtest/gtest.h>

#include "io/test_support.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

TEST(AtomicFile, CreatesAndReplaces) {
  const TemporaryDirectory folder;
  write_file_atomically(folder / "report.json", "old");
  EXPECT_EQ(read_bytes(folder / "report.json"), "old");
  write_file_atomically(folder / "report.json", "new");
  EXPECT_EQ(read_bytes(folder / "report.json"), "new");
  { AtomicFile unfinished(folder / "report.json"); }
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"report.json"});
}

TEST(AtomicFile, EveryFailingCallKeepsTheOldOrTheNew) {
  for (int at = 0;; ++at) {
    const TemporaryDirectory folder;
    folder.write("report.json", "old");
    PlannedFault fault(at, EIO);
    bool failed = false;
    try {
      write_file_atomically(folder / "report.json", "new");
    } catch (const Error& error) {
      failed = true;
      EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
    }
    const std::string text = read_bytes(folder / "report.json");
    EXPECT_TRUE(text == "new" || (failed && text == "old")) << at;
    EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"report.json"}) << at;
    if (fault.calls() <= at) break;
  }
}

TEST(AtomicFile, WritesToDevicesAndFollowsLinks) {
  const TemporaryDirectory folder;
  write_file_atomically("/dev/null", "text");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  folder.write("real", "old");
  fs::create_symlink("real", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_EQ(read_bytes(folder / "real"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
}

TEST(AtomicFile, FullDeviceIsTheEnvironment) {
  EXPECT_EQ(error_of([] { write_file_atomically("/dev/full", "text"); }).category(),
            ErrorCategory::kEnvironment);
}

TEST(AtomicFile, RefusesBadTargets) {
  const TemporaryDirectory folder;
  fs::create_symlink("nowhere", folder / "dangling");
  for (const fs::path& target : {folder.path(), folder / "dangling", folder / "missing/report.json",
                                 fs::path(), fs::path("/")}) {
    EXPECT_EQ(error_of([&] { AtomicFile file(target); }).category(), ErrorCategory::kUsage)
        << target;
  }
}

TEST(AtomicFile, RemovesWhatDeadProcessesLeft) {
  const TemporaryDirectory folder;
  folder.write(".report.tmp.999999999", "half");
  folder.write(".report.tmp.1", "of a living process");
  folder.write(".report.tmp.x", "not ours");
  write_file_atomically(folder / "report", "new");
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{".report.tmp.1", ".report.tmp.x", "report"}));
}

}  // namespace
}  // namespace octavo
