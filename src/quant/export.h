// Writing of a quantized checkpoint: a valid Hugging Face folder in one of two layouts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "quant/quantized_weights.h"

namespace octavo {

enum class ExportFormat : uint8_t { kModelOpt, kCompressedTensors };

struct ExportOptions {
  ExportFormat format = ExportFormat::kModelOpt;
  bool overwrite = false;
  nlohmann::json manifest;                    // written as octavo_manifest.json
  std::vector<std::filesystem::path> inputs;  // besides the model: the calibration set
  std::function<void(int64_t, int64_t)> progress;
};

// Encodes and writes one tensor at a time; the directory appears complete or not at all, and its
// bytes depend on the model and the plan alone.
void export_checkpoint(const ModelDir& model, const QuantizationPlan& plan,
                       const std::filesystem::path& output_dir, const ExportOptions& options);

}  // namespace octavo
