// Recorder: what a model file calls to emit its Program; every op in its unfused, unquantized form.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "program/program.h"

namespace octavo {

class Recorder {
 public:
  // Activations, weights and caches are emitted in `dtype`; passes change types later.
  explicit Recorder(DType dtype) : dtype_(dtype) {}

  // Everything recorded from here on belongs to this layer.
  void set_layer(int layer) { layer_ = layer; }

  TensorId input(std::string_view name, SymbolicShape shape, DType dtype = DType::kI32);
  TensorId weight(const std::string& name, const Shape& shape);
  TensorId literal(const std::string& name, std::vector<float> values);
  TensorId cache(const std::string& name, SymbolicShape shape);

  TensorId embedding(TensorId ids, TensorId table, const std::string& module);
  TensorId rms_norm(TensorId x, TensorId weight, float epsilon, Role role,
                    const std::string& module);
  TensorId linear(TensorId x, TensorId weight, TensorId bias, Role role, const std::string& module);
  TensorId rope(TensorId x, TensorId positions, TensorId inverse_frequency, int64_t head_dim);
  void kv_append(TensorId k, TensorId v, TensorId slots, TensorId k_cache, TensorId v_cache,
                 const std::string& module);
  // `sequences`: query_start, query_length, kv_length, block_table.
  TensorId attention(TensorId q, TensorId k_cache, TensorId v_cache,
                     const std::array<TensorId, 4>& sequences, const AttentionParams& params,
                     const std::string& module);
  TensorId swiglu(TensorId gate, TensorId up, const std::string& module);
  TensorId add(TensorId a, TensorId b, Role role);
  TensorId gather_rows(TensorId x, TensorId rows);

  // One a token: float32 logits of all experts.
  TensorId router(TensorId x, TensorId weight, const std::string& module);
  struct Routes {
    TensorId experts, weights;
  };
  Routes route(TensorId logits, TensorId slots, const RouteParams& params);
  struct Permuted {
    TensorId rows, offsets, x;
  };
  Permuted permute(TensorId x, TensorId experts, int64_t num_experts);
  TensorId grouped_linear(TensorId x, TensorId weight, TensorId offsets, Role role,
                          const std::string& module);
  TensorId combine(TensorId x, TensorId rows, TensorId weights);

  // lm_head: float32 logits, named `logits`, the Program's output.
  TensorId logits(TensorId x, TensorId weight, const std::string& module);

  // The validated Program.
  Program finish();

 private:
  std::vector<TensorId> record_all(Op op, OpParams params, std::vector<TensorId> inputs, Role role,
                                   const std::string& module);
  // Of an op with one output.
  TensorId record(Op op, OpParams params, std::vector<TensorId> inputs, Role role,
                  const std::string& module);

  Program program_;
  DType dtype_;
  int layer_ = -1;
};

}  // namespace octavo
