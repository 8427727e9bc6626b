// Decoder: the blocks that decoder-only models are built from, over a Recorder.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: a model file's layer reads like the paper: no format, device or rank, and no bookkeeping.
#pragma once

#include <array>
#include <span>
#include <string>

#include "model/architecture.h"
#include "program/recorder.h"

namespace octavo {

class Decoder {
 public:
  Decoder(const ModelConfig& config, const EmitOptions& options,
          std::span<const TensorEntry> tensors);

  TensorId embed();
  void begin_layer(int index);

  // Names are the checkpoint's, below the layer; shapes come from the table of tensors.
  TensorId norm(TensorId x, std::string_view name, Role role);
  // With the bias that the table has beside the weight, if any.
  TensorId linear(TensorId x, std::string_view name, Role role);
  TensorId rope(TensorId x);
  // Appends k and v to the layer's cache and attends over it.
  TensorId attention(TensorId q, TensorId k, TensorId v);
  TensorId swiglu(TensorId gate, TensorId up);
  TensorId add(TensorId a, TensorId b, Role role);

  // A mixture of experts: where the tokens go, what each expert does with its rows, and the
  // weighted sum of it. The names of experts' linears hold a `*` for their number.
  struct Routed {
    TensorId x = kNoTensor;  // a row for every pair of token and expert, by expert
    TensorId offsets = kNoTensor, rows = kNoTensor, weights = kNoTensor;
  };
  Routed route(TensorId x, std::string_view router, bool normalize);
  TensorId expert_linear(const Routed& routed, TensorId x, std::string_view name, Role role);
  TensorId combine(const Routed& routed, TensorId x);

  // Final norm and lm_head over the rows that need logits.
  Program finish(TensorId x);

 private:
  std::string module(std::string_view name) const;
  TensorId weight(const std::string& prefix, std::string_view name);
  // kNoTensor where the table has no such tensor, or not for this config.
  TensorId optional_tensor(const std::string& prefix, const std::string& name);

  const ModelConfig& config_;
  EmitOptions options_;
  std::span<const TensorEntry> tensors_;
  Recorder recorder_;
  int layer_ = -1;
  TensorId ids_, positions_, slots_, logit_rows_, inverse_frequency_, embedding_;
  std::array<TensorId, 4> sequences_;
};

}  // namespace octavo
