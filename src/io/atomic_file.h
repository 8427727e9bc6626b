// Writing one file (a report) so that the old one or the new one is there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "io/directory.h"

namespace octavo {

class AtomicFile {
 public:
  // Devices and FIFOs (/dev/stdout) are written to directly; a symbolic link is followed.
  // Error(kUsage) for a directory.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();  // without commit(), nothing stays
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  File& file() { return file_; }
  void commit();

 private:
  void open_directly(const std::filesystem::path& target);
  void remove_left_overs();

  std::filesystem::path target_;
  std::optional<Directory> parent_;  // none when written directly
  std::string temporary_name_;
  File file_;
};

void write_file_atomically(const std::filesystem::path& target, std::string_view text);

}  // namespace octavo
