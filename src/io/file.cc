// Files: one owner of a descriptor.
// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/checked.h"
#include "io/file_calls.h"

namespace octavo {
namespace {

std::string text_of(int error_number) { return std::generic_category().message(error_number); }

uint64_t available(const struct statvfs& info) {
  return checked_mul<uint64_t>(info.f_bavail, info.f_frsize).value_or(UINT64_MAX);
}

FileIdentity identity_of(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<uint64_t>(info.st_size),
          .modified_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "a special file";
}

Error not_regular(std::string_view path, mode_t mode) {
  return bad_file(path, "", fmt::format("expected a regular file, got {}", kind_of(mode)));
}

}  // namespace

Error open_error(std::string_view path, int error_number) {
  const bool bad_path = error_number == ENOENT || error_number == ENOTDIR ||
                        error_number == EISDIR || error_number == ELOOP ||
                        error_number == ENAMETOOLONG || error_number == ENXIO ||
                        error_number == EINVAL;
  return Error(bad_path ? ErrorCategory::kBadFile : ErrorCategory::kEnvironment, path, "",
               fmt::format("cannot open: {}", text_of(error_number)));
}

Error io_error(std::string_view path, std::string_view action, int error_number) {
  return Error(ErrorCategory::kEnvironment, path, "",
               fmt::format("cannot {}: {}", action, text_of(error_number)));
}

File File::open_read(const std::filesystem::path& path) {
  // Opening some devices has effects of its own, so the kind is looked at first, and again on the
  // descriptor.
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    throw not_regular(path.native(), info.st_mode);
  }
  const int fd = file_calls::open(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) throw open_error(path.native(), errno);
  return adopt_read(fd, path.native());
}

File File::adopt_read(int fd, std::string path) {
  File file(fd, std::move(path));
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw io_error(file.path_, "stat", errno);
  if (!S_ISREG(info.st_mode)) throw not_regular(file.path_, info.st_mode);
  file.identity_ = identity_of(info);
  return file;
}

File::File(File&& other) noexcept { *this = std::move(other); }

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) file_calls::close(fd_, path_);
  fd_ = std::exchange(other.fd_, -1);
  seekable_ = other.seekable_;
  path_ = std::move(other.path_);
  identity_ = other.identity_;
  written_ = other.written_;
  finished_ = std::move(other.finished_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) file_calls::close(fd_, path_);
}

void File::pread_exact(uint64_t offset, std::span<std::byte> bytes) const {
  const auto end = checked_add<uint64_t>(offset, bytes.size());
  if (!end || *end > size()) {
    throw bad_file(path_, "",
                   fmt::format("expected {} bytes at offset {}, got a file of {} bytes",
                               bytes.size(), offset, size()));
  }
  while (!bytes.empty()) {
    // One call transfers at most about 2 GiB, so that the loop is needed for large tensors as well.
    const int64_t got = file_calls::read(fd_, bytes.data(), bytes.size(), offset, path_);
    if (got < 0 && errno == EAGAIN) continue;
    if (got < 0) throw io_error(path_, "read", errno);
    if (got == 0) {
      throw Error(ErrorCategory::kEnvironment, path_, "",
                  fmt::format("became shorter while it was read; expected {} bytes", size()));
    }
    bytes = bytes.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

std::string File::read_text() const {
  std::string text(size(), '\0');
  pread_exact(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void File::verify_unchanged() const {
  struct stat opened {};
  if (::fstat(fd_, &opened) != 0) throw io_error(path_, "stat", errno);
  struct stat named {};
  // A file that was unlinked or replaced under its name is still whole behind our descriptor;
  // mixing it with its successor is what must not happen.
  const bool replaced = ::stat(path_.c_str(), &named) == 0 && identity_of(named) != identity_;
  if (identity_of(opened) != identity_ || replaced) {
    throw Error(ErrorCategory::kEnvironment, path_, "", "was changed while it was read");
  }
}

void File::fail_write(std::string_view action, int error_number) {
  struct statvfs info {};
  if ((error_number == ENOSPC || error_number == EDQUOT) && ::fstatvfs(fd_, &info) == 0) {
    throw Error(ErrorCategory::kEnvironment, path_, "",
                fmt::format("cannot {}: {}; {} bytes are free", action, text_of(error_number),
                            available(info)));
  }
  throw io_error(path_, action, error_number);
}

void File::write_all(std::span<const std::byte> bytes) {
  if (seekable_) {
    write_at(written_, bytes);
  } else {
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const int64_t put = file_calls::write_next(fd_, rest.data(), rest.size(), path_);
      if (put < 0 && errno != EAGAIN) fail_write("write", errno);
      if (put > 0) rest = rest.subspan(static_cast<size_t>(put));
    }
  }
  written_ += bytes.size();
}

void File::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const int64_t put = file_calls::write(fd_, bytes.data(), bytes.size(), offset, path_);
    if (put < 0 && errno == EAGAIN) continue;
    if (put <= 0)
      fail_write(fmt::format("write {} bytes at offset {}", bytes.size(), offset),
                 put < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
}

void File::finish() {
  if (file_calls::sync(fd_, path_) != 0) fail_write("sync", errno);
  close();
  if (finished_) *finished_ = true;
}

void File::close() {
  if (fd_ < 0) return;
  if (file_calls::close(std::exchange(fd_, -1), path_) != 0) throw io_error(path_, "close", errno);
}

uint64_t free_space(const std::filesystem::path& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0)
    throw io_error(path.native(), "stat the file system", errno);
  return available(info);
}

void require_free_space(const std::filesystem::path& path, uint64_t needed_bytes) {
  const uint64_t free_bytes = free_space(path);
  if (free_bytes < needed_bytes) {
    throw Error(
        ErrorCategory::kEnvironment, path.native(), "",
        fmt::format("not enough space: {} bytes needed, {} free", needed_bytes, free_bytes));
  }
}

}  // namespace octavo
