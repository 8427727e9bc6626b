// Attention and MLP as most decoder-only models have them.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/blocks.h"

namespace octavo {

TensorId self_attention(Decoder& d, TensorId h) {
  const TensorId q = d.rope(d.linear(h, "self_attn.q_proj", Role::kQ));
  const TensorId k = d.rope(d.linear(h, "self_attn.k_proj", Role::kK));
  const TensorId v = d.linear(h, "self_attn.v_proj", Role::kV);
  return d.linear(d.attention(q, k, v), "self_attn.o_proj", Role::kO);
}

TensorId swiglu_mlp(Decoder& d, TensorId h) {
  const TensorId gate = d.linear(h, "mlp.gate_proj", Role::kGate);
  const TensorId up = d.linear(h, "mlp.up_proj", Role::kUp);
  return d.linear(d.swiglu(gate, up), "mlp.down_proj", Role::kDown);
}

TensorId attention_mlp_layer(Decoder& d, TensorId x) {
  const TensorId h = d.norm(x, "input_layernorm", Role::kInputNorm);
  x = d.add(x, self_attention(d, h), Role::kAttentionResidual);
  const TensorId m = d.norm(x, "post_attention_layernorm", Role::kPostNorm);
  return d.add(x, swiglu_mlp(d, m), Role::kMlpResidual);
}

Program emit_layers(const ModelConfig& config, const EmitOptions& options,
                    std::span<const TensorEntry> tensors,
                    TensorId (*layer)(Decoder& d, TensorId x)) {
  Decoder decoder(config, options, tensors);
  TensorId x = decoder.embed();
  for (int i = 0; i < config.num_layers; ++i) {
    decoder.begin_layer(i);
    x = layer(decoder, x);
  }
  return decoder.finish(x);
}

}  // namespace octavo
