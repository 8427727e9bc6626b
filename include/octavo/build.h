// build: makes an engine directory from a checkpoint.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "octavo/config.h"
#include "octavo/progress.h"

namespace octavo {

struct BuildOptions {
  std::filesystem::path checkpoint_dir;  // quantized or 16-bit
  std::filesystem::path output_dir;
  BuildConfig config;
  bool dry_run = false;  // checks and plans; writes nothing
  bool overwrite = false;
  int64_t workers = 1;  // rank files written at once
  bool retune = false;  // measure kernels again rather than use records
};

struct BuildReport {
  uint64_t weight_bytes = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t calls_a_layer = 0;
  std::vector<std::string> notices;  // options that have no effect here
  double seconds = 0.0;
};

// Throws Error; the output directory appears complete or not at all.
BuildReport build(const BuildOptions& options, Progress& progress);

}  // namespace octavo
