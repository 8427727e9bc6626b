// A lock file that keeps two jobs from writing one target.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "io/directory.h"

namespace octavo {

// Held from construction to destruction; the kernel drops it when the process dies, so a left-over
// file means nothing.
class FileLock {
 public:
  // Error(kEnvironment) "locked by process <n>" when another job holds it. `directory` must outlive
  // the lock.
  FileLock(const Directory& directory, std::string name);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  bool try_acquire();

  const Directory& directory_;
  std::string name_;
  int fd_ = -1;
};

}  // namespace octavo
