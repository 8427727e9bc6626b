// Layers of a quantized model that stay, or go back to, what the 16-bit model has.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: a layer moves between the two as a whole, so that what a scheme changed in its norms or
// neighbouring weights (quant/channel_fold.h) moves with it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "quant/quantized_weights.h"

namespace octavo {

// "model.layers.3", "lm_head", …: the part of the model that a tensor belongs to.
std::string layer_of(std::string_view tensor);

// The layers with at least one quantized linear, in the order of model_tensors().
std::vector<std::string> quantized_layers(const ModelDir& model);

// The checkpoint that a plan makes of a 16-bit model, in memory: tensors are encoded as they are
// read.
ModelDir quantized_model(const ModelDir& model, const QuantizationPlan& plan);

// `original` with `layers` of `quantized` in place of its own; the KV cache stays in 16 bit.
// Error(kUnsupported) where their tensors differ in name or shape.
ModelDir with_layers_of(const ModelDir& original, const ModelDir& quantized,
                        const std::set<std::string>& layers);

// `prepared` with the tensors that `original` has in these layers: undoes there what was folded.
ModelDir with_original_layers(const ModelDir& original, const ModelDir& prepared,
                              const std::set<std::string>& layers);

// The plan with these layers in 16 bit, as exclude_modules would have made it; scales of the KV
// cache stay.
QuantizationPlan without_layers(QuantizationPlan plan, const std::set<std::string>& layers);

}  // namespace octavo
