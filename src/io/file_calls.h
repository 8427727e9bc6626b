// The system calls of the file layer, each of which a test can make fail, shorten or interrupt.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace octavo {

enum class FileCall : uint8_t {
  kOpen,
  kMakeDirectory,
  kRead,
  kWrite,
  kSync,
  kClose,
  kRename,
  kRemove
};
std::string_view to_string(FileCall call);

// Off by default. Implementations count calls and choose one to harm; they must be thread-safe.
class FileFaults {
 public:
  struct Verdict {
    int error = 0;  // an errno: the call is not made and fails with it
    size_t max_bytes =
        std::numeric_limits<size_t>::max();  // a read or write transfers no more than this
  };
  virtual ~FileFaults() = default;
  // Before the call. May also not return (kill the process).
  virtual Verdict before(FileCall call, std::string_view path) = 0;
};

// Installs `faults` for the whole process (nullptr: none) and returns the previous ones. For tests.
FileFaults* set_file_faults(FileFaults* faults);

// Thin wrappers: -1 on failure with errno set, as the calls themselves; EINTR is retried. `path`
// names the file to the fault hook; `directory` may be AT_FDCWD.
namespace file_calls {
int open(int directory, const char* path, int flags, unsigned mode = 0);
int make_directory(int directory, const char* path, unsigned mode);
int64_t read(int fd, void* bytes, size_t count, uint64_t offset, std::string_view path);
int64_t write(int fd, const void* bytes, size_t count, uint64_t offset, std::string_view path);
int64_t write_next(int fd, const void* bytes, size_t count,
                   std::string_view path);  // where there is no offset
int sync(int fd, std::string_view path);
int close(int fd, std::string_view path);
int rename(int directory, const char* from, const char* to, unsigned flags);  // flags as renameat2
int remove(int directory, const char* path, bool is_directory);
}  // namespace file_calls

}  // namespace octavo
