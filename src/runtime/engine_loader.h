// Loading of engine directories.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/thread_pool.h"
#include "program/engine_image.h"

namespace octavo {

// config.json of an engine directory, checked.
struct EngineManifest {
  std::string file;  // its path
  std::string build_id;
  int64_t ranks = 1;
  EngineConfig config;
  nlohmann::json json;  // the whole file
};

bool is_engine_dir(const std::filesystem::path& path);
EngineManifest read_engine_manifest(const std::filesystem::path& engine_dir);

// Plans of a rank file without its weights.
std::vector<Plan> read_engine_plans(const std::filesystem::path& engine_dir, int64_t rank = 0);

// Everything of one rank, checksums verified. Throws Error(kBadFile) for files that are missing,
// left over, of another build or changed since, Error(kUnsupported) for other format versions.
std::shared_ptr<EngineImage> load_engine(const std::filesystem::path& engine_dir, ThreadPool& pool,
                                         int64_t rank = 0);

}  // namespace octavo
