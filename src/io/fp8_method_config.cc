// quant_method "fp8": fine-grained FP8 of transformers, and AutoFP8.
// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "io/quantization_dialects.h"

namespace octavo {
namespace {

// A name here means a module wherever it stands: "lm_head", "mlp.gate".
void add_excludes(const JsonObject& block, std::string_view key,
                  std::vector<std::string>& patterns) {
  const auto field = block.optional(key);
  if (!field) return;
  for (const std::string& name : field->as_strings()) {
    patterns.push_back(name);
    patterns.push_back("*." + name);
    patterns.push_back("*." + name + ".*");
  }
}

QuantScheme read_weights(const JsonObject& block) {
  QuantScheme scheme = kFp8PerTensor;
  if (!block.has("weight_block_size")) return scheme;
  const JsonField field = block.required("weight_block_size");
  const std::vector<int64_t> size = field.as_ints({1, 1 << 20});
  if (size.size() != 2) throw field.mismatch("rows and columns");
  scheme.block_rows = size[0];
  scheme.block_columns = size[1];
  return scheme;
}

}  // namespace

CheckpointQuantization read_fp8_method(const JsonObject& block) {
  CheckpointQuantization result;
  result.method = "fp8";
  if (const auto fmt = block.optional("fmt"); fmt && fmt->as_string() != "e4m3")
    throw fmt->not_supported("e4m3");
  result.weights = read_weights(block);
  const std::string scheme = block.optional_string("activation_scheme").value_or("dynamic");
  if (scheme == "static") {
    result.inputs = kFp8PerTensor;
  } else if (scheme == "dynamic") {
    result.inputs = kFp8PerChannelPerToken.inputs;
    result.inputs.block_columns = result.weights.block_columns;
  } else {
    throw block.required("activation_scheme").not_supported("dynamic, static");
  }
  add_excludes(block, "modules_to_not_convert", result.exclude_modules);
  add_excludes(block, "ignored_layers", result.exclude_modules);
  result.kv_cache = read_kv_cache_scheme(block);
  return result;
}

}  // namespace octavo
