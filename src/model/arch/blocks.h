// Halves of a layer that several models share, over a Decoder.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/decoder.h"

namespace octavo {

// Both take the normed hidden state; what the table of tensors says (biases) is part of them.
TensorId self_attention(Decoder& d, TensorId h);
TensorId swiglu_mlp(Decoder& d, TensorId h);

// A pre-norm layer of the two: x + attention(norm(x)), then x + mlp(norm(x)).
TensorId attention_mlp_layer(Decoder& d, TensorId x);

// Embedding, `layer` for every layer, final norm and head.
Program emit_layers(const ModelConfig& config, const EmitOptions& options,
                    std::span<const TensorEntry> tensors,
                    TensorId (*layer)(Decoder& d, TensorId x) = attention_mlp_layer);

}  // namespace octavo
