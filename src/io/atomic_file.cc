// Writing one file so that the old one or the new one is there.
// SPDX-License-Identifier: Apache-2.0
#include "io/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>

#include "io/file_calls.h"

namespace octavo {
namespace fs = std::filesystem;

namespace {
Error usage(const fs::path& target, std::string_view reason) {
  return Error(ErrorCategory::kUsage, target.native(), "", reason);
}
}  // namespace

AtomicFile::AtomicFile(const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (fs::is_directory(status)) throw usage(target, "expected a file, got a directory");
  // What /dev/stdout leads to must be written to, not replaced, even when it is a regular file.
  const std::string path = fs::absolute(target, error).lexically_normal().native();
  const bool stream = path == "/dev/stdout" || path == "/dev/stderr" ||
                      path.starts_with("/dev/fd/") || path.starts_with("/proc/");
  if (fs::exists(status) && (stream || !fs::is_regular_file(status))) {
    open_directly(target);
    return;
  }
  target_ = fs::weakly_canonical(fs::absolute(target, error), error);
  if (error || !is_plain_basename(target_.filename().native()))
    throw usage(target, "not a usable output file");
  if (fs::is_symlink(fs::symlink_status(target_, error)))
    throw usage(target, "is a symbolic link that leads nowhere");
  if (!fs::is_directory(target_.parent_path(), error))
    throw usage(target, "its directory does not exist");
  parent_ = Directory::open(target_.parent_path());
  temporary_name_ = fmt::format(".{}.tmp.{}", target_.filename().native(), ::getpid());
  remove_left_overs();
  file_ = parent_->create_file(temporary_name_);
}

void AtomicFile::open_directly(const fs::path& target) {
  const int fd = file_calls::open(AT_FDCWD, target.c_str(), O_WRONLY | O_NOCTTY | O_APPEND);
  if (fd < 0) throw io_error(target.native(), "open", errno);
  file_ = File(fd, target.native());
  file_.seekable_ = false;
}

// Of processes that are gone, and our own name, which an earlier process with our id may have left.
void AtomicFile::remove_left_overs() {
  const std::string prefix = fmt::format(".{}.tmp.", target_.filename().native());
  for (const std::string& entry : parent_->list()) {
    if (!entry.starts_with(prefix)) continue;
    pid_t pid = 0;
    const char* end = entry.data() + entry.size();
    const auto [stop, problem] = std::from_chars(entry.data() + prefix.size(), end, pid);
    if (problem != std::errc() || stop != end || pid <= 0) continue;
    if (pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH)) parent_->remove_file(entry);
  }
}

AtomicFile::~AtomicFile() {
  if (parent_ && !temporary_name_.empty()) {
    file_calls::remove(parent_->descriptor(), temporary_name_.c_str(), /*is_directory=*/false);
  }
}

void AtomicFile::commit() {
  if (!parent_) return file_.close();
  file_.finish();
  if (file_calls::rename(parent_->descriptor(), temporary_name_.c_str(), target_.filename().c_str(),
                         0) != 0) {
    throw io_error(target_.native(), "rename into place", errno);
  }
  temporary_name_.clear();
  parent_->sync();
}

void write_file_atomically(const fs::path& target, std::string_view text) {
  AtomicFile output(target);
  output.file().write_all(text);
  output.commit();
}

}  // namespace octavo
