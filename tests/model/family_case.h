// What the tests of model files share: configs, and what a Program has.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "model/architecture.h"

namespace octavo {

inline nlohmann::json family_json(const Architecture& architecture,
                                  const nlohmann::json& changes = {}) {
  nlohmann::json config = {{"architectures", {architecture.name}},
                           {"model_type", architecture.model_type},
                           {"vocab_size", 61},
                           {"hidden_size", 32},
                           {"intermediate_size", 48},
                           {"num_hidden_layers", 2},
                           {"num_attention_heads", 4},
                           {"num_key_value_heads", 2},
                           {"head_dim", 10},
                           {"rope_theta", 10000.0},
                           {"eos_token_id", 1}};
  config.update(changes.is_null() ? nlohmann::json::object() : changes);
  return config;
}

inline ModelConfig family_config(const Architecture& architecture,
                                 const nlohmann::json& changes = {}) {
  return architecture.read_config(family_json(architecture, changes), "config.json");
}

// The config is refused as unsupported and the message names the key.
inline void expect_refused(const Architecture& architecture, const std::string& key,
                           const nlohmann::json& value,
                           ErrorCategory category = ErrorCategory::kUnsupported) {
  try {
    family_config(architecture, {{key, value}});
    ADD_FAILURE() << key << " " << value;
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(key));
  }
}

// Every tensor of the table is a weight of the Program, alone or in a stack, and the reverse.
inline void expect_table_is_the_program(const Architecture& architecture,
                                        const ModelConfig& config) {
  const Program program = architecture.emit(config, {});
  std::set<std::string> weights, table;
  for (const ProgramTensor& tensor : program.tensors) {
    if (tensor.kind != TensorKind::kWeight || tensor.name == "rope.inverse_frequency") continue;
    for (const std::string& name : checkpoint_names(tensor.name, tensor.shape[0].value))
      weights.insert(name);
  }
  for (const ModelTensor& tensor : model_tensors(architecture, config)) table.insert(tensor.name);
  EXPECT_EQ(weights, table);
}

inline std::vector<const Call*> calls_in_layer(const Program& program, Op op, int layer) {
  std::vector<const Call*> found;
  for (const Call& call : program.calls) {
    if (call.op == op && call.layer == layer) found.push_back(&call);
  }
  return found;
}

inline int64_t window_in_layer(const Program& program, int layer) {
  const Call& attention = *calls_in_layer(program, Op::kAttention, layer).at(0);
  return std::get<AttentionParams>(attention.params).window;
}

}  // namespace octavo
