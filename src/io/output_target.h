// Which directories a job may write to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"

namespace octavo {

struct OutputOptions {
  bool overwrite = false;
  std::vector<std::filesystem::path> inputs;  // what the job reads; the target must not touch these
  uint64_t needed_bytes = 0;  // checked against the free space at the start; 0: not known
  std::string manifest =
      "config.json";  // written last; only directories that hold it are overwritten
};

// The real path of `target`, whose parent exists afterwards. Error(kUsage) when the target is a
// file, a broken link, a directory that is not empty (without `overwrite`) or not an output of this
// kind (with it), or when it equals, contains or lies inside an input.
std::filesystem::path resolve_output_target(const std::filesystem::path& target,
                                            const OutputOptions& options);

// For a call that failed to create something at the target: kUsage where the place cannot be
// written to at all.
Error output_error(const std::filesystem::path& path, int error_number);

}  // namespace octavo
