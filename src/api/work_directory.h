// WorkDirectory: a folder for what is made on the way, removed with the object.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace octavo {

class WorkDirectory {
 public:
  // Inside `parent`, or the system's temporary folder where it is empty. Error(kEnvironment) where
  // none can be made.
  explicit WorkDirectory(const std::filesystem::path& parent);
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace octavo
