// How a checkpoint says that it is quantized: hf_quant_config.json, quantization_config.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/quant_scheme.h"

namespace octavo {

struct CheckpointQuantization {
  std::string method;   // "modelopt"; empty: not quantized
  QuantScheme weights;  // of the quantized linears; 16-bit where only the cache is quantized
  std::optional<QuantScheme> kv_cache;       // absent: 16-bit
  std::vector<std::string> exclude_modules;  // fnmatch patterns of modules kept in 16 bit

  bool quantized() const { return !method.empty(); }
};

// hf_quant_config.json's content wins over config.json's quantization_config; a difference is a
// warning. Either may be null. What is not supported is Error(kUnsupported) with the list of what
// is.
CheckpointQuantization read_quantization_config(const nlohmann::json* hf_quant_config,
                                                const nlohmann::json& config,
                                                const std::string& directory);

// The two spellings of ModelOpt's FP8 layout.
nlohmann::json hf_quant_config_json(const CheckpointQuantization& quantization);
nlohmann::json quantization_config_json(const CheckpointQuantization& quantization);

// fnmatch-style match of `*`, `?` and literal characters over a whole module name; a pattern
// without wildcards also matches the modules below it ("lm_head", "model.layers.0").
bool module_matches(std::string_view pattern, std::string_view module);
bool is_excluded(const std::vector<std::string>& patterns, std::string_view module);

}  // namespace octavo
