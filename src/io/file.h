// Files: one owner of a descriptor, with reads and writes that complete or throw.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace octavo {

class Directory;

// What tells one version of a file from another.
struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

// Moved, never copied. Errors name the path; categories as `open_error` and `write_error` below.
class File {
 public:
  // Regular files only: a directory, FIFO, socket or device is refused without blocking on it.
  static File open_read(const std::filesystem::path& path);

  File() = default;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();  // closes, ignoring errors: call finish() or close() where they matter

  const std::string& path() const { return path_; }
  uint64_t size() const {
    return identity_.size;
  }  // of a file open for reading, when it was opened
  const FileIdentity& identity() const { return identity_; }

  // Fills `bytes` from `offset`; Error(kBadFile) when the range does not lie within size(),
  // Error(kEnvironment) when the read fails or the file has become shorter. May be called from
  // several threads.
  void pread_exact(uint64_t offset, std::span<std::byte> bytes) const;
  // The whole file. The caller has checked size() against a limit.
  std::string read_text() const;
  // Error(kEnvironment) when the file was changed or replaced since it was opened.
  void verify_unchanged() const;

  void write_all(std::span<const std::byte> bytes);  // appends
  void write_all(std::string_view text) { write_all(std::as_bytes(std::span(text))); }
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t written() const { return written_; }  // bytes appended by write_all
  // fsync, then close. An error is final.
  void finish();
  void close();
  int descriptor() const { return fd_; }

 private:
  friend class Directory;
  friend class AtomicDirectory;
  friend class AtomicFile;
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  static File adopt_read(int fd, std::string path);
  [[noreturn]] void fail_write(std::string_view action, int error_number);

  int fd_ = -1;
  bool seekable_ = true;
  std::string path_;
  FileIdentity identity_;
  uint64_t written_ = 0;
  std::shared_ptr<bool> finished_;  // shared with the directory commit that waits for it
};

// Missing, not a regular file, path too long: kBadFile. No permission, out of descriptors, I/O
// error: kEnvironment.
Error open_error(std::string_view path, int error_number);
// Always kEnvironment.
Error io_error(std::string_view path, std::string_view action, int error_number);

// Bytes that an ordinary user may still write on the file system of `path`, which must exist.
uint64_t free_space(const std::filesystem::path& path);
// Error(kEnvironment) with both numbers when fewer than `needed_bytes` are free.
void require_free_space(const std::filesystem::path& path, uint64_t needed_bytes);

}  // namespace octavo
