// Writing a directory so that the old one, the new one or none is there.
// SPDX-License-Identifier: Apache-2.0
#include "io/atomic_directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/log.h"
#include "io/file_calls.h"

namespace octavo {
namespace {

bool is_left_over(std::string_view entry, std::string_view prefix) {
  return entry.size() > prefix.size() && entry.starts_with(prefix) &&
         entry.find_first_not_of("0123456789", prefix.size()) == std::string_view::npos;
}

Directory open_parent(const std::filesystem::path& target) {
  return Directory::open(target.parent_path());
}

}  // namespace

AtomicDirectory::AtomicDirectory(const std::filesystem::path& target, OutputOptions options)
    : target_(resolve_output_target(target, options)),
      options_(std::move(options)),
      name_(target_.filename().native()),
      temporary_name_(fmt::format(".{}.tmp.{}", name_, ::getpid())),
      aside_name_(fmt::format(".{}.old.{}", name_, ::getpid())),
      parent_(open_parent(target_)),
      lock_(parent_, fmt::format(".{}.lock", name_)) {
  if (options_.needed_bytes > 0) require_free_space(parent_.path(), options_.needed_bytes);
  clean_up_after_dead_jobs();
  // Another job may have finished here between the first look and the lock.
  resolve_output_target(target_, options_);
  open_temporary();
}

AtomicDirectory::~AtomicDirectory() {
  if (published_ == Published::kNo) {
    try {
      discard(temporary_name_);
    } catch (const Error&) {
      // The next job to this target removes what could not be removed now.
    }
  }
}

void AtomicDirectory::open_temporary() {
  const std::string path = parent_.path_of(temporary_name_).native();
  if (file_calls::make_directory(parent_.descriptor(), temporary_name_.c_str(), 0777) != 0) {
    throw output_error(path, errno);
  }
  try {
    temporary_ = parent_.open_child(temporary_name_);
  } catch (const Error&) {
    file_calls::remove(parent_.descriptor(), temporary_name_.c_str(), /*is_directory=*/true);
    throw;
  }
}

// We hold the lock, so whoever made these is gone.
void AtomicDirectory::clean_up_after_dead_jobs() {
  const std::string temporary_prefix = fmt::format(".{}.tmp.", name_);
  const std::string aside_prefix = fmt::format(".{}.old.", name_);
  for (const std::string& entry : parent_.list()) {
    if (is_left_over(entry, aside_prefix) && !parent_.contains(name_)) {
      // The job died after it had moved the old directory aside and before the new one took its
      // place.
      if (file_calls::rename(parent_.descriptor(), entry.c_str(), name_.c_str(),
                             RENAME_NOREPLACE) != 0) {
        throw io_error(parent_.path_of(entry).native(), "restore", errno);
      }
    } else if (is_left_over(entry, temporary_prefix) || is_left_over(entry, aside_prefix)) {
      discard(entry);
    }
  }
}

File AtomicDirectory::create(std::string_view name) {
  OCTAVO_CHECK(temporary_.has_value() && name != options_.manifest);
  File file = temporary_->create_file(name);
  file.finished_ = finished_.emplace_back(std::make_shared<bool>(false));
  return file;
}

void AtomicDirectory::write(std::string_view name, std::string_view text) {
  File file = create(name);
  file.write_all(text);
  file.finish();
}

void AtomicDirectory::commit(std::string_view manifest) {
  OCTAVO_CHECK(temporary_.has_value());
  OCTAVO_CHECK(std::all_of(finished_.begin(), finished_.end(),
                           [](const auto& finished) { return *finished; }));
  File file = temporary_->create_file(options_.manifest);
  file.write_all(manifest);
  file.finish();
  temporary_->sync();
  temporary_.reset();
  publish();
  try {
    parent_.sync();
  } catch (const Error&) {
    roll_back();
    throw;
  }
  try {
    if (published_ == Published::kExchanged) discard(temporary_name_);
    if (published_ == Published::kAside) discard(aside_name_);
  } catch (const Error& error) {
    log_warning("the replaced directory could not be removed: {}", error.what());
  }
}

void AtomicDirectory::publish() {
  if (parent_.contains(name_)) return replace_existing();
  int result = file_calls::rename(parent_.descriptor(), temporary_name_.c_str(), name_.c_str(),
                                  RENAME_NOREPLACE);
  if (result != 0 && (errno == EINVAL || errno == ENOSYS)) {  // a file system without the flag
    result = file_calls::rename(parent_.descriptor(), temporary_name_.c_str(), name_.c_str(), 0);
  }
  if (result != 0) throw io_error(target_.native(), "rename into place", errno);
  published_ = Published::kNew;
}

void AtomicDirectory::replace_existing() {
  const int parent = parent_.descriptor();
  if (file_calls::rename(parent, temporary_name_.c_str(), name_.c_str(), RENAME_EXCHANGE) == 0) {
    published_ = Published::kExchanged;
    return;
  }
  if (errno != EINVAL && errno != ENOSYS)
    throw io_error(target_.native(), "rename into place", errno);
  // Two renames: between them there is no directory, and the next job would bring the old one back.
  if (file_calls::rename(parent, name_.c_str(), aside_name_.c_str(), 0) != 0) {
    throw io_error(target_.native(), "move aside", errno);
  }
  if (file_calls::rename(parent, temporary_name_.c_str(), name_.c_str(), 0) != 0) {
    const Error error = io_error(target_.native(), "rename into place", errno);
    file_calls::rename(parent, aside_name_.c_str(), name_.c_str(), 0);
    throw error;
  }
  published_ = Published::kAside;
}

// The parent could not be synced: go back to what was there, so that an error always means "nothing
// changed".
void AtomicDirectory::roll_back() {
  const int parent = parent_.descriptor();
  int result = -1;
  if (published_ == Published::kExchanged) {
    result = file_calls::rename(parent, temporary_name_.c_str(), name_.c_str(), RENAME_EXCHANGE);
  } else {
    result = file_calls::rename(parent, name_.c_str(), temporary_name_.c_str(), 0);
    if (result == 0 && published_ == Published::kAside) {
      result = file_calls::rename(parent, aside_name_.c_str(), name_.c_str(), 0);
    }
  }
  if (result == 0) published_ = Published::kNo;  // the destructor removes the temporary directory
}

// Removes a directory of plain files next to the target, or a file or link that somebody put under
// its name.
void AtomicDirectory::discard(const std::string& name) {
  if (!parent_.contains(name)) return;
  const std::filesystem::file_status status =
      std::filesystem::symlink_status(parent_.path_of(name));
  if (!std::filesystem::is_directory(status)) return parent_.remove_file(name);
  {
    const Directory directory = parent_.open_child(name);
    for (const std::string& entry : directory.list()) directory.remove_file(entry);
  }
  if (file_calls::remove(parent_.descriptor(), name.c_str(), /*is_directory=*/true) != 0) {
    throw io_error(parent_.path_of(name).native(), "remove", errno);
  }
}

}  // namespace octavo
