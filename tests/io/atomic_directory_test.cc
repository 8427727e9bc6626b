// Atomic output directories: every call of a save fails, and every one is a kill point.
// SPDX-License-Identifier: Apache-2.0
#include "io/atomic_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>

#include "core/log.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

// The job under test: two files and a manifest, all saying which generation they are.
void save(const fs::path& target, const std::string& generation, bool overwrite = true) {
  AtomicDirectory output(target, {.overwrite = overwrite});
  File weights = output.create("weights");
  weights.write_all(generation + " weights 1");
  weights.write_all(generation + " weights 2");
  weights.finish();
  output.write("tokenizer.json", generation + " tokenizer");
  output.commit(generation + " manifest");
}

// "old", "new", "none", or "broken" with what is wrong.
std::string state_of(const fs::path& target) {
  if (!fs::exists(target)) return "none";
  const std::string manifest = read_bytes(target / "config.json");
  for (const std::string generation : {"old", "new"}) {
    if (manifest != generation + " manifest") continue;
    const bool whole =
        names_in(target) == std::vector<std::string>{"config.json", "tokenizer.json", "weights"} &&
        read_bytes(target / "weights") == generation + " weights 1" + generation + " weights 2" &&
        read_bytes(target / "tokenizer.json") == generation + " tokenizer";
    return whole ? generation : "broken " + generation;
  }
  return "broken manifest";
}

int calls_of_a_save(bool existing) {
  const TemporaryDirectory folder;
  if (existing) save(folder / "out", "old");
  PlannedFault count(-1);
  save(folder / "out", "new");
  return count.calls();
}

TEST(AtomicDirectory, PublishesOnlyOnCommit) {
  const TemporaryDirectory folder;
  {
    AtomicDirectory output(folder / "out", {});
    output.write("a", "1");
    EXPECT_FALSE(fs::exists(folder / "out"));
  }
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{});
  save(folder / "out", "new", /*overwrite=*/false);
  EXPECT_EQ(state_of(folder / "out"), "new");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out"});
}

TEST(AtomicDirectory, ReplacesAnEmptyDirectoryAndMakesParents) {
  const TemporaryDirectory folder;
  fs::create_directory(folder / "out");
  save(folder / "out", "new", /*overwrite=*/false);
  EXPECT_EQ(state_of(folder / "out"), "new");
  save(folder / "a/b/out", "new", /*overwrite=*/false);
  EXPECT_EQ(state_of(folder / "a/b/out"), "new");
}

TEST(AtomicDirectory, WritesThroughALinkToADirectory) {
  const TemporaryDirectory folder;
  save(folder / "real", "old");
  fs::create_directory_symlink("real", folder / "link");
  save(folder / "link", "new");
  EXPECT_EQ(state_of(folder / "real"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
}

struct BadTarget {
  std::string name, target;
  bool overwrite;
  std::string message;
};
class RefusedTarget : public testing::TestWithParam<BadTarget> {};

TEST_P(RefusedTarget, IsAUsageErrorAndNothingChanges) {
  const TemporaryDirectory folder;
  folder.write("input/config.json", "{}");
  folder.write("input/sub/file", "x");
  folder.write("file", "x");
  folder.write("other/notes.txt", "x");
  folder.write("deep/config.json", "{}");
  folder.write("deep/photos/1", "x");
  save(folder / "full", "old");
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_symlink("loop", folder / "loop");
  fs::create_directory_symlink("input", folder / "alias");
  const auto before = names_in(folder.path());
  const Error error = error_of([&] {
    AtomicDirectory(folder.path() / GetParam().target,
                    {.overwrite = GetParam().overwrite, .inputs = {folder / "input"}});
  });
  EXPECT_EQ(error.category(), ErrorCategory::kUsage) << error.what();
  EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  EXPECT_EQ(names_in(folder.path()), before);
  EXPECT_EQ(state_of(folder / "full"), "old");
}

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedTarget,
    testing::Values(
        BadTarget{"NotEmpty", "full", false, "exists and is not empty; --overwrite"},
        BadTarget{"AFile", "file", true, "exists and is not a directory"},
        BadTarget{"BelowAFile", "file/out", true, "cannot create the parent directory"},
        BadTarget{"Dangling", "dangling", true, "leads nowhere"},
        BadTarget{"Loop", "loop", true, "not a usable output path"},
        BadTarget{"EqualsInput", "input", true, "must not be or lie inside the input"},
        BadTarget{"EqualsInputByLink", "alias", true, "must not be or lie inside the input"},
        BadTarget{"InsideInput", "input/new/out", true, "must not be or lie inside the input"},
        BadTarget{"InsideInputByLink", "alias/out", true, "must not be or lie inside the input"},
        BadTarget{"InsideInputByDots", "full/../input/out", true,
                  "must not be or lie inside the input"},
        BadTarget{"ContainsInput", ".", true, "must not contain the input"},
        BadTarget{"NotAnOutput", "other", true, "holds no config.json"},
        BadTarget{"HoldsDirectories", "deep", true, "holds the directory \"photos\""},
        BadTarget{"NameTooLong", std::string(250, 'x'), false, "cannot write here"},
        BadTarget{"Root", "/", true, "not a usable output path"}),
    [](const auto& info) { return info.param.name; });

TEST(AtomicDirectory, AnUnwritableParentIsAUsageError) {
  const TemporaryDirectory folder;
  PlannedFault fault(0, EACCES);
  fault.only(FileCall::kMakeDirectory);
  EXPECT_EQ(error_of([&] { save(folder / "out", "new"); }).category(), ErrorCategory::kUsage);
}

TEST(AtomicDirectory, SecondJobIsLockedOut) {
  const TemporaryDirectory folder;
  const AtomicDirectory first(folder / "out", {});
  const Error error = error_of([&] { AtomicDirectory(folder / "out", {}); });
  EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
  EXPECT_THAT(error.what(), HasSubstr(fmt::format("locked by process {}", ::getpid())));
  EXPECT_NO_THROW(AtomicDirectory(folder / "other", {}));
}

TEST(AtomicDirectory, ChecksSpaceFirst) {
  const TemporaryDirectory folder;
  const Error error =
      error_of([&] { AtomicDirectory(folder / "out", {.needed_bytes = uint64_t{1} << 62}); });
  EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{});
}

TEST(AtomicDirectory, RefusesToCommitUnfinishedFiles) {
  const TemporaryDirectory folder;
  AtomicDirectory output(folder / "out", {});
  File file = output.create("weights");
  EXPECT_EQ(error_of([&] { output.commit(""); }).category(), ErrorCategory::kInternal);
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(AtomicDirectory, RemovesWhatDeadJobsLeft) {
  const TemporaryDirectory folder;
  folder.write(".out.tmp.999999/weights", "half");
  folder.write(".out.tmp.notes", "not ours");
  folder.write(".output.tmp.1/weights", "of another target");
  folder.write("precious/file", "x");
  fs::create_directory_symlink("precious", folder / ".out.tmp.5");
  save(folder / "out", "new");
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{".out.tmp.notes", ".output.tmp.1", "out", "precious"}));
  EXPECT_TRUE(fs::exists(folder / "precious/file"));
}

TEST(AtomicDirectory, BringsBackADirectoryThatWasMovedAside) {
  const TemporaryDirectory folder;
  save(folder / ".out.old.999999", "old");
  EXPECT_THAT(error_of([&] { save(folder / "out", "new", /*overwrite=*/false); }).what(),
              HasSubstr("not empty"));
  EXPECT_EQ(state_of(folder / "out"), "old");
}

TEST(AtomicDirectory, ExchangesWhereTheFileSystemCannot) {
  const TemporaryDirectory folder;
  save(folder / "out", "old");
  PlannedFault fault(0, EINVAL);
  fault.only(FileCall::kRename);
  save(folder / "out", "new");
  EXPECT_EQ(fault.calls(), 3);
  EXPECT_EQ(state_of(folder / "out"), "new");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out"});
}

class AtomicDirectorySweep : public testing::TestWithParam<bool> {
};  // whether an old directory exists

// Each call of a save fails once, with each error: an error says so and the old state is there,
// nothing else; or the call did not matter and the new state is complete.
TEST_P(AtomicDirectorySweep, EveryCallFails) {
  set_log_level(LogLevel::kError);
  const bool existing = GetParam();
  const int calls = calls_of_a_save(existing);
  ASSERT_GT(calls, 20);
  for (const int error_number : {ENOSPC, EIO, EDQUOT, EFBIG, EMFILE}) {
    for (int at = 0; at < calls; ++at) {
      SCOPED_TRACE(fmt::format("call {} of {}, errno {}", at, calls, error_number));
      const TemporaryDirectory folder;
      if (existing) save(folder / "out", "old");
      bool failed = false;
      {
        const PlannedFault fault(at, error_number);
        try {
          save(folder / "out", "new");
        } catch (const Error& error) {
          failed = true;
          EXPECT_EQ(error.category(), ErrorCategory::kEnvironment) << error.what();
        }
      }
      const std::string expected = !failed ? "new" : existing ? "old" : "none";
      EXPECT_EQ(state_of(folder / "out"), expected);
      save(folder / "out", "new");  // and the next job needs no cleaning
      EXPECT_EQ(state_of(folder / "out"), "new");
      EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out"});
    }
  }
}

// From some call on, everything fails, as on a disk that went away: the directory is never broken.
TEST_P(AtomicDirectorySweep, EveryCallFromOneOnFails) {
  set_log_level(LogLevel::kError);
  const bool existing = GetParam();
  const int calls = calls_of_a_save(existing);
  for (int at = 0; at < calls; ++at) {
    SCOPED_TRACE(fmt::format("from call {} of {}", at, calls));
    const TemporaryDirectory folder;
    if (existing) save(folder / "out", "old");
    {
      const PlannedFault fault(at, EIO, PlannedFault::Action::kFail, /*forever=*/true);
      try {
        save(folder / "out", "new");
      } catch (const Error& error) {
        EXPECT_EQ(error.category(), ErrorCategory::kEnvironment) << error.what();
      }
    }
    EXPECT_THAT(state_of(folder / "out"), testing::AnyOf("new", existing ? "old" : "none"));
    save(folder / "out", "new");
    EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out"});
  }
}

// kill -9 at every call, on both ways of replacing a directory.
void kill_sweep(bool existing, bool exchange_supported) {
  for (int at = 0;; ++at) {
    SCOPED_TRACE(fmt::format("killed at call {}", at));
    const TemporaryDirectory folder;
    if (existing) save(folder / "out", "old");
    const pid_t child = ::fork();
    if (child == 0) {
      struct KillAt : PlannedFault {
        using PlannedFault::PlannedFault;
        bool exchange = true;
        Verdict before(FileCall call, std::string_view path) override {
          const Verdict verdict = PlannedFault::before(call, path);
          if (call == FileCall::kRename && !exchange && !std::exchange(refused, true))
            return {.error = EINVAL};
          return verdict;
        }
        bool refused = false;
      } fault(at, 0, PlannedFault::Action::kKill);
      fault.exchange = exchange_supported;
      save(folder / "out", "new");
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    const bool finished = WIFEXITED(status);
    const std::string old_state = existing ? "old" : "none";
    if (finished) {
      EXPECT_EQ(state_of(folder / "out"), "new");
    } else if (exchange_supported) {
      EXPECT_THAT(state_of(folder / "out"), testing::AnyOf("new", old_state));
    } else {
      EXPECT_THAT(state_of(folder / "out"), testing::AnyOf("new", old_state, "none"));
    }
    save(folder / "out", "new");
    EXPECT_EQ(state_of(folder / "out"), "new");
    EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out"});
    if (finished) {
      EXPECT_GT(at, 20);
      return;
    }
  }
}

TEST_P(AtomicDirectorySweep, KilledAtEveryCall) {
  kill_sweep(GetParam(), /*exchange_supported=*/true);
}
TEST_P(AtomicDirectorySweep, KilledAtEveryCallWithoutExchange) {
  kill_sweep(GetParam(), /*exchange_supported=*/false);
}

INSTANTIATE_TEST_SUITE_P(Old, AtomicDirectorySweep, testing::Bool(),
                         [](const auto& info) { return info.param ? "Existing" : "Absent"; });

// The process's file size limit stands in for a full disk that no hook simulates.
TEST(AtomicDirectory, RealSizeLimitsLeaveTheOldDirectory) {
  const TemporaryDirectory folder;
  save(folder / "out", "old");
  for (rlim_t bytes = 0; bytes < 28; bytes += 3) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      try {
        save(folder / "out", "new");
      } catch (const Error& error) {
        ::_exit(exit_code(error.category()));
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), bytes < 26 ? 5 : 0) << bytes;
    EXPECT_EQ(state_of(folder / "out"), bytes < 26 ? "old" : "new") << bytes;
    EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"out"}) << bytes;
  }
}

// Power loss: the order of calls is files, manifest, temporary directory, rename, parent, so that
// whatever prefix of it reached the disk, a manifest in place implies complete files.
TEST(AtomicDirectory, SyncsBeforeItPublishes) {
  struct Recorder : FileFaults {
    Verdict before(FileCall call, std::string_view path) override {
      if (call == FileCall::kSync || call == FileCall::kRename) {
        calls.push_back(fmt::format("{} {}", to_string(call), fs::path(path).filename().native()));
      }
      return {};
    }
    std::vector<std::string> calls;
  } recorder;
  const TemporaryDirectory folder;
  FileFaults* previous = set_file_faults(&recorder);
  save(folder / "out", "new");
  set_file_faults(previous);
  const std::string temporary = fmt::format("sync .out.tmp.{}", ::getpid());
  EXPECT_EQ(recorder.calls,
            (std::vector<std::string>{"sync weights", "sync tokenizer.json", "sync config.json",
                                      temporary, "rename out",
                                      "sync " + folder.path().filename().native()}));
}

}  // namespace
}  // namespace octavo
