// How a checkpoint says that it is quantized: hf_quant_config.json, quantization_config.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: every dialect becomes one CheckpointQuantization; nothing behind this file knows dialects.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/quant_scheme.h"

namespace octavo {

// Modules of a mixed-precision checkpoint that have a scheme of their own.
struct ModuleScheme {
  std::string pattern;
  LinearScheme scheme;

  bool operator==(const ModuleScheme&) const = default;
};

struct CheckpointQuantization {
  std::string method;       // "modelopt", "compressed-tensors", "fp8"; empty: not quantized
  QuantScheme weights;      // of the quantized linears; 16-bit where only the cache is quantized
  QuantScheme inputs = {};  // of the quantized linears
  std::optional<QuantScheme> kv_cache = {};       // absent: 16-bit
  std::vector<std::string> exclude_modules = {};  // patterns of modules kept in 16 bit
  std::vector<ModuleScheme> modules = {};         // the first that matches wins over the above
  // Ends that inputs quantized at run time are brought between.
  std::optional<std::pair<float, float>> clamp = {};

  bool quantized() const { return !method.empty(); }
  bool quantizes_linears() const { return weights.quantized() || !modules.empty(); }
  // What the module is made of; 16-bit where it is excluded.
  LinearScheme scheme_of(std::string_view module) const;
  bool operator==(const CheckpointQuantization&) const = default;
};

// hf_quant_config.json's content wins over config.json's quantization_config; a difference is a
// warning. Either may be null. What is not supported is Error(kUnsupported) with the list of what
// is.
CheckpointQuantization read_quantization_config(const nlohmann::json* hf_quant_config,
                                                const nlohmann::json& config,
                                                const std::string& directory);

// ModelOpt's name in small letters, "mixed_precision", "none" where linears are in 16 bit, or
// "other" where the scheme has no name.
std::string quantization_name(const CheckpointQuantization& quantization);

// The two spellings of ModelOpt's layout.
nlohmann::json hf_quant_config_json(const CheckpointQuantization& quantization);
nlohmann::json quantization_config_json(const CheckpointQuantization& quantization);
// The block of the other layout that is written; exclude_modules must be plain names.
nlohmann::json compressed_tensors_json(const CheckpointQuantization& quantization);

// fnmatch-style match of `*`, `?` and literal characters over a whole module name; a pattern
// without wildcards also matches the modules below it ("lm_head", "model.layers.0"). After "re:"
// stands a regular expression that must match from the name's first character.
bool module_matches(std::string_view pattern, std::string_view module);
bool is_excluded(const std::vector<std::string>& patterns, std::string_view module);

}  // namespace octavo
