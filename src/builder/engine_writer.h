// Writing of engine directories: config.json + rank<r>.engine + the tokenizer's files.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "builder/build.h"

namespace octavo {

struct EngineWriteOptions {
  bool overwrite = false;
  nlohmann::json provenance;  // what the engine was made from and with
  std::function<void(int64_t, int64_t)> progress;
};

// `ranks`: the blueprints of all of them, in order. One weight at a time goes from the checkpoint
// to the file; the directory appears complete or not at all.
void write_engine(const ModelDir& model, const std::vector<Blueprint>& ranks,
                  const std::filesystem::path& output_dir, const EngineWriteOptions& options);

}  // namespace octavo
