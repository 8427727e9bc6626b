// The system calls of the file layer.
// SPDX-License-Identifier: Apache-2.0
#include "io/file_calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace octavo {
namespace {

std::atomic<FileFaults*> installed_faults{nullptr};

// Makes the call until it is not interrupted; the hook sees every attempt.
template <typename Call>
auto attempt(FileCall kind, std::string_view path, Call call) -> decltype(call(size_t{})) {
  for (;;) {
    FileFaults::Verdict verdict;
    if (FileFaults* faults = installed_faults.load()) verdict = faults->before(kind, path);
    if (verdict.error != 0) {
      errno = verdict.error;
    } else {
      const auto result = call(verdict.max_bytes);
      if (result >= 0) return result;
    }
    if (errno != EINTR) return -1;
  }
}

}  // namespace

std::string_view to_string(FileCall call) {
  switch (call) {
    case FileCall::kOpen:
      return "open";
    case FileCall::kMakeDirectory:
      return "make directory";
    case FileCall::kRead:
      return "read";
    case FileCall::kWrite:
      return "write";
    case FileCall::kSync:
      return "sync";
    case FileCall::kClose:
      return "close";
    case FileCall::kRename:
      return "rename";
    case FileCall::kRemove:
      return "remove";
  }
  return "?";
}

FileFaults* set_file_faults(FileFaults* faults) { return installed_faults.exchange(faults); }

namespace file_calls {

int open(int directory, const char* path, int flags, unsigned mode) {
  return attempt(FileCall::kOpen, path,
                 [&](size_t) { return ::openat(directory, path, flags | O_CLOEXEC, mode); });
}

int make_directory(int directory, const char* path, unsigned mode) {
  return attempt(FileCall::kMakeDirectory, path,
                 [&](size_t) { return ::mkdirat(directory, path, mode); });
}

int64_t read(int fd, void* bytes, size_t count, uint64_t offset, std::string_view path) {
  return attempt(FileCall::kRead, path, [&](size_t limit) -> int64_t {
    return ::pread(fd, bytes, std::min(count, limit), static_cast<off_t>(offset));
  });
}

int64_t write(int fd, const void* bytes, size_t count, uint64_t offset, std::string_view path) {
  return attempt(FileCall::kWrite, path, [&](size_t limit) -> int64_t {
    return ::pwrite(fd, bytes, std::min(count, limit), static_cast<off_t>(offset));
  });
}

int64_t write_next(int fd, const void* bytes, size_t count, std::string_view path) {
  return attempt(FileCall::kWrite, path, [&](size_t limit) -> int64_t {
    return ::write(fd, bytes, std::min(count, limit));
  });
}

int sync(int fd, std::string_view path) {
  return attempt(FileCall::kSync, path, [&](size_t) { return ::fsync(fd); });
}

int close(int fd, std::string_view path) {
  // The descriptor is gone after one close, whatever it returns: never retried, and closed on an
  // injected error too.
  FileFaults::Verdict verdict;
  if (FileFaults* faults = installed_faults.load())
    verdict = faults->before(FileCall::kClose, path);
  int result = ::close(fd);
  if (result != 0 && errno == EINTR) result = 0;
  if (verdict.error != 0 && verdict.error != EINTR) {
    errno = verdict.error;
    result = -1;
  }
  return result;
}

int rename(int directory, const char* from, const char* to, unsigned flags) {
  return attempt(FileCall::kRename, to,
                 [&](size_t) { return ::renameat2(directory, from, directory, to, flags); });
}

int remove(int directory, const char* path, bool is_directory) {
  return attempt(FileCall::kRemove, path, [&](size_t) {
    return ::unlinkat(directory, path, is_directory ? AT_REMOVEDIR : 0);
  });
}

}  // namespace file_calls
}  // namespace octavo
