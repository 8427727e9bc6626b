// The readers of each dialect's quantization block, and the names that schemes have there.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/json_object.h"
#include "io/quantization_config.h"

namespace octavo {

// {"quant_algo", "kv_cache_quant_algo", "exclude_modules" | "ignore", …}: ModelOpt's, nested or
// flat.
CheckpointQuantization read_modelopt(const JsonObject& object);
// {"config_groups": {…: {"targets", "weights", "input_activations"}}, "ignore", …}
CheckpointQuantization read_compressed_tensors(const JsonObject& block);
// {"quant_method": "fp8"}: fine-grained FP8 of transformers, and AutoFP8, which came before it.
CheckpointQuantization read_fp8_method(const JsonObject& block);

// The "config_groups" and the "kv_cache_scheme" of a block.
void read_config_groups(const JsonObject& block, CheckpointQuantization& to);
std::optional<QuantScheme> read_kv_cache_scheme(const JsonObject& block);
// One group of linears as "weights" and "input_activations" describe it.
nlohmann::json config_group_json(const LinearScheme& scheme);

// ModelOpt's and TensorRT-LLM's name of the scheme; empty where it has none.
std::string_view quant_algo_name(const LinearScheme& scheme);

}  // namespace octavo
