// Directories held open.
// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <utility>

#include "io/file_calls.h"

namespace octavo {
namespace {

constexpr std::string_view kHubBlobs = "../../blobs/";

std::string checked_name(std::string_view name, const std::filesystem::path& directory) {
  if (!is_plain_basename(name)) {
    throw bad_file(directory.native(), "",
                   fmt::format("expected the plain name of a file in this directory, got \"{}\"",
                               printable(name)));
  }
  return std::string(name);
}

bool is_hub_snapshot(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::canonical(directory, ignored).parent_path().filename() == "snapshots";
}

// What to open for `name`: itself, or what its link says where that is allowed.
std::string resolve(int fd, const std::string& name, const std::filesystem::path& directory) {
  std::array<char, PATH_MAX> buffer;
  const ssize_t length = ::readlinkat(fd, name.c_str(), buffer.data(), buffer.size());
  if (length < 0) return name;  // not a link, or missing: openat will say
  const std::string_view target(buffer.data(), static_cast<size_t>(length));
  if (is_plain_basename(target)) return std::string(target);
  if (target.starts_with(kHubBlobs) && is_plain_basename(target.substr(kHubBlobs.size())) &&
      is_hub_snapshot(directory)) {
    return std::string(target);
  }
  throw bad_file((directory / name).native(), "",
                 "is a symbolic link that leads out of its directory");
}

}  // namespace

bool is_plain_basename(std::string_view name) {
  return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

Directory Directory::open(const std::filesystem::path& path) {
  const int fd = file_calls::open(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  if (fd < 0) throw open_error(path.native(), errno);
  return Directory(fd, path);
}

Directory::Directory(Directory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Directory& Directory::operator=(Directory&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Directory::~Directory() {
  if (fd_ >= 0) file_calls::close(fd_, path_.native());
}

Directory Directory::open_child(std::string_view name) const {
  const std::string plain = checked_name(name, path_);
  const int fd =
      file_calls::open(fd_, plain.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) throw open_error(path_of(plain).native(), errno);
  return Directory(fd, path_of(plain));
}

File Directory::open_file(std::string_view name) const {
  const std::string plain = checked_name(name, path_);
  const std::string path = path_of(plain).native();
  const std::string target = resolve(fd_, plain, path_);
  struct stat info {};
  if (::fstatat(fd_, target.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(info.st_mode)) {
    throw bad_file(path, "",
                   S_ISLNK(info.st_mode) ? "is a symbolic link to a symbolic link"
                                         : "expected a regular file");
  }
  const int file =
      file_calls::open(fd_, target.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
  if (file < 0) throw open_error(path, errno);
  return File::adopt_read(file, path);
}

bool Directory::contains(std::string_view name) const {
  struct stat info {};
  return is_plain_basename(name) &&
         ::fstatat(fd_, std::string(name).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

std::vector<std::string> Directory::list() const {
  const int fd = file_calls::open(fd_, ".", O_RDONLY | O_DIRECTORY);
  if (fd < 0) throw open_error(path_.native(), errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd), ::closedir);
  if (!stream) {
    const int error_number = errno;
    ::close(fd);
    throw io_error(path_.native(), "list", error_number);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw io_error(path_.native(), "list", errno);
  std::sort(names.begin(), names.end());
  return names;
}

File Directory::create_file(std::string_view name) const {
  const std::string plain = checked_name(name, path_);
  const int fd =
      file_calls::open(fd_, plain.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
  if (fd < 0) throw io_error(path_of(plain).native(), "create", errno);
  return File(fd, path_of(plain).native());
}

void Directory::remove_file(std::string_view name) const {
  const std::string plain = checked_name(name, path_);
  if (file_calls::remove(fd_, plain.c_str(), /*is_directory=*/false) != 0 && errno != ENOENT) {
    throw io_error(path_of(plain).native(), "remove", errno);
  }
}

void Directory::sync() const {
  if (file_calls::sync(fd_, path_.native()) != 0) throw io_error(path_.native(), "sync", errno);
}

}  // namespace octavo
