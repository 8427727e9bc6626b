// Turns a 16-bit Program into the one that a quantized checkpoint describes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "builder/fusion.h"
#include "io/quantization_config.h"
#include "model/weight_source.h"

namespace octavo {

// Every linear whose weight is of codes in `source` gets its scales, and a quantize call for its
// input where `quantization` says that inputs are codes too. Linears that read the same tensor
// share one quantize call where their input scales are equal or made at run time alike. A linear
// that the checkpoint leaves in 16 bit stays as it is. Scales are checked: finite, positive, of
// their shape.
void quantize_linears(Draft& draft, const WeightSource& source,
                      const CheckpointQuantization& quantization);

// Makes the KV cache E4M3 with the calibrated scales of `source` ("….k_proj.k_scale",
// "….v_proj.v_scale"). Throws Error(kUnsupported) where a layer has none: a scale is never assumed.
void quantize_kv_cache(Draft& draft, const WeightSource& source);

// The names of a module's scales in a checkpoint.
std::string weight_scale_name(const std::string& module);
std::string input_scale_name(const std::string& module);
std::string k_scale_name(const std::string& attention_module);
std::string v_scale_name(const std::string& attention_module);

// One scale; throws Error(kBadFile) naming the tensor where it is missing, of another shape or
// type, or not a finite positive number.
float read_scale(const WeightSource& source, const std::string& name);
// Checks the scales of a weight, which have this shape.
void check_scales(const WeightSource& source, const std::string& name, const Shape& shape);

}  // namespace octavo
