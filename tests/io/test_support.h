// What the tests of io/ share: temporary directories, caught errors, fault plans.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/file_calls.h"

namespace octavo {

// Removed with all that is in it at the end of the scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    // In memory where that exists: the sweeps sync thousands of times.
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name = memory ? "/dev/shm/octavo-io-XXXXXX"
                              : std::filesystem::temp_directory_path() / "octavo-io-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / std::string(name); }
  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    const std::filesystem::path path = *this / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

inline void make_fifo(const std::filesystem::path& path) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
}

// The Error that `body` throws; a test failure and an internal error when there is none.
template <typename Body>
Error error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCategory::kInternal, "no error");
}

// Counts the calls of the file layer and does something at the `at`-th of those that `applies`
// accepts.
class PlannedFault : public FileFaults {
 public:
  enum class Action { kFail, kKill, kShort };
  explicit PlannedFault(int at, int error = 0, Action action = Action::kFail, bool forever = false)
      : at_(at),
        error_(error),
        action_(action),
        forever_(forever),
        previous_(set_file_faults(this)) {}
  ~PlannedFault() override { set_file_faults(previous_); }

  Verdict before(FileCall call, std::string_view) override {
    if (only_ && call != *only_) return {};
    const int index = calls_++;
    if (index != at_ && !(forever_ && index > at_)) return {};
    if (action_ == Action::kKill) ::kill(::getpid(), SIGKILL);
    if (action_ == Action::kShort) return {.max_bytes = 1};
    return {.error = error_};
  }
  PlannedFault& only(FileCall call) {
    only_ = call;
    return *this;
  }
  int calls() const { return calls_; }

 private:
  int at_, error_;
  Action action_;
  bool forever_;
  FileFaults* previous_;
  std::optional<FileCall> only_;
  int calls_ = 0;
};

}  // namespace octavo
