// A lock file that keeps two jobs from writing one target.
// SPDX-License-Identifier: Apache-2.0
#include "io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "io/file_calls.h"
#include "io/output_target.h"

namespace octavo {
namespace {

// The process id that the holder wrote, or "unknown" in the moment before it has.
std::string holder_of(int fd) {
  std::array<char, 20> text;
  const ssize_t length = ::pread(fd, text.data(), text.size(), 0);
  const std::string_view digits(text.data(), length < 0 ? 0 : static_cast<size_t>(length));
  const bool number =
      !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  return number ? std::string(digits) : "unknown";
}

}  // namespace

FileLock::FileLock(const Directory& directory, std::string name)
    : directory_(directory), name_(std::move(name)) {
  while (!try_acquire()) {
  }
  const std::string pid = std::to_string(::getpid());
  const std::string path = directory_.path_of(name_).native();
  if (::ftruncate(fd_, 0) != 0 ||
      file_calls::write(fd_, pid.data(), pid.size(), 0, path) != static_cast<int64_t>(pid.size())) {
    const Error error = io_error(path, "write", errno);
    file_calls::remove(directory_.descriptor(), name_.c_str(), /*is_directory=*/false);
    ::close(fd_);
    throw error;
  }
}

// False when the file was removed by its last holder between our open and our lock: try again with
// a new one.
bool FileLock::try_acquire() {
  const std::string path = directory_.path_of(name_).native();
  fd_ =
      file_calls::open(directory_.descriptor(), name_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
  if (fd_ < 0) throw output_error(path, errno);
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error_number = errno;
    const std::string holder = holder_of(fd_);
    ::close(fd_);
    if (error_number != EWOULDBLOCK) throw io_error(path, "lock", error_number);
    throw Error(ErrorCategory::kEnvironment, path, "",
                fmt::format("locked by process {}, which writes to the same place", holder));
  }
  struct stat held {};
  struct stat named {};
  if (::fstat(fd_, &held) == 0 &&
      ::fstatat(directory_.descriptor(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
      held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
    return true;
  }
  ::close(fd_);
  return false;
}

FileLock::~FileLock() {
  // Removed while still held, so that no other job can hold the same name at once.
  file_calls::remove(directory_.descriptor(), name_.c_str(), /*is_directory=*/false);
  ::close(fd_);
}

}  // namespace octavo
