// EngineImage: what the runtime runs: plans, weights, limits; from a file or built in memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/device.h"
#include "program/memory_plan.h"
#include "program/program.h"

namespace octavo {

// Of steps whose every sequence has one token and logits of it, and of any.
enum class PlanKind : uint8_t { kDecode, kMixed };

// lm_head runs on one row a sequence, or on chunks of a longer text where all rows are asked for.
int64_t max_logit_rows(int64_t max_sequences, int64_t max_tokens);

// The Program after one bucket's rewrites, with the kernel of every call. Plans share weights and
// caches by name.
struct Plan {
  PlanKind kind = PlanKind::kMixed;
  int64_t max_tokens = 0;  // of one step
  Program program;
  std::vector<std::string> kernels;  // one a call
  std::vector<std::string> tactics;  // one a call, of its kernel; empty: the kernel's own choice
  std::vector<double> kernel_us;     // one a call, as measured by the builder; 0: it was ranked
  std::vector<double> floor_us;      // one a call, the least that it could take; 0: not known

  // The largest step of this plan within an engine's. Every sequence of a decode step has one
  // token and one row of logits.
  SymbolValues maxima(const SymbolValues& engine) const;
};

// The limits and facts of an engine that the runtime enforces; names are those of the CLI and of
// config.json.
struct EngineConfig {
  std::string model_type;
  std::string device = "cpu";
  std::string dtype;           // of activations
  std::string quantization;    // "fp8" or "none": of the linears
  std::string kv_cache_dtype;  // "float32", "bfloat16" or "fp8"
  int64_t vocab_size = 0;
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_batch_size = 0;
  int64_t max_num_tokens = 0;
  int64_t max_seq_len = 0;
  int64_t max_input_len = 0;
  int64_t tokens_per_block = 32;
  int64_t tp_size = 1;
  int64_t pp_size = 1;
  int32_t bos_token_id = -1;
  std::vector<int32_t> eos_token_ids;

  int64_t ranks() const { return tp_size * pp_size; }
  int64_t kv_heads_per_rank() const;
  // K and V of all layers, on all ranks: where there are more of them than heads, some hold the
  // same.
  int64_t kv_bytes_per_token() const;
};

struct EngineWeight {
  std::string name;
  Tensor tensor;  // in the memory of the device that the engine runs on
};

struct EngineImage {  // of one rank
  EngineConfig config;
  int64_t rank = 0;
  std::vector<Plan> plans;
  std::vector<EngineWeight> weights;
};

// The tensor in the memory of a device; itself where that is the host.
Tensor on_device(Tensor tensor, Device& device);

// JSON forms. Readers check every field and validate every Program: Error(kBadFile) naming `file`
// and the field.
nlohmann::json to_json(const EngineConfig& config);
EngineConfig engine_config_from_json(const nlohmann::json& json, const std::string& file);
nlohmann::json to_json(const Plan& plan);
Plan plan_from_json(const nlohmann::json& json, const std::string& file);

}  // namespace octavo
