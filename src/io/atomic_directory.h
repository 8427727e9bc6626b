// Output directories that are always whole: the old one, the new one or none.
// SPDX-License-Identifier: Apache-2.0
//
// Files are written to a sibling directory, each synced, the manifest last; then the sibling is
// renamed into place (or exchanged with the old directory) and the parent synced. A job that was
// killed leaves at most hidden siblings, which the next job to the same target removes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/directory.h"
#include "io/file_lock.h"
#include "io/output_target.h"

namespace octavo {

class AtomicDirectory {
 public:
  // Checks the target (output_target.h) and the free space, takes the lock, cleans up after dead
  // jobs.
  AtomicDirectory(const std::filesystem::path& target, OutputOptions options);
  ~AtomicDirectory();  // without commit(), nothing stays
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& target() const { return target_; }
  // A new file; whoever writes it calls finish() on it before the commit.
  File create(std::string_view name);
  void write(std::string_view name, std::string_view text);
  // Writes the manifest and publishes the directory; nothing can be added afterwards.
  void commit(std::string_view manifest);

 private:
  void clean_up_after_dead_jobs();
  void open_temporary();
  void publish();
  void replace_existing();
  void roll_back();
  void discard(const std::string& name);

  std::filesystem::path target_;
  OutputOptions options_;
  std::string name_, temporary_name_, aside_name_;
  Directory parent_;
  FileLock lock_;
  std::optional<Directory> temporary_;
  std::vector<std::shared_ptr<bool>> finished_;
  enum class Published { kNo, kNew, kExchanged, kAside } published_ = Published::kNo;
};

}  // namespace octavo
