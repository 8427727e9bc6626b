// Directories held open, so that the names in them are plain and cannot lead outside.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"

namespace octavo {

// One path component that is a name: not empty, ".", "..", no '/' and no NUL, at most 255 bytes.
bool is_plain_basename(std::string_view name);

class Directory {
 public:
  static Directory open(const std::filesystem::path& path);

  Directory(Directory&& other) noexcept;
  Directory& operator=(Directory&& other) noexcept;
  ~Directory();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path path_of(std::string_view name) const { return path_ / std::string(name); }
  int descriptor() const { return fd_; }

  Directory open_child(std::string_view name) const;  // never through a link

  // A regular file of this very directory; `name` is hostile. A symbolic link is followed only to a
  // plain name in the same directory, or as the model hub's cache lays it out:
  // snapshots/<revision>/<name> → ../../blobs/<hash>.
  File open_file(std::string_view name) const;
  bool contains(std::string_view name) const;  // anything of that name
  std::vector<std::string> list() const;       // sorted, without "." and ".."

  // Mode 0666 less the umask; the file must not exist.
  File create_file(std::string_view name) const;
  void remove_file(std::string_view name) const;  // it may be missing
  void sync() const;

 private:
  Directory(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::filesystem::path path_;
};

}  // namespace octavo
