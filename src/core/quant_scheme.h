// A quantization format as a value: what the elements are and how scales are laid over them.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: algorithms produce schemes, kernels answer "can I run this?", layers know neither.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace octavo {

// Scales cover blocks of block_rows × block_columns elements; 0 means the whole extent of that
// axis. Every scale multiplies on dequantization: value = code × scale.
struct QuantScheme {
  DType element = DType::kBF16;
  int64_t block_rows = 0;
  int64_t block_columns = 0;
  bool dynamic = false;  // scales are computed from the data at run time

  bool quantized() const { return is_code(element); }
  bool operator==(const QuantScheme&) const = default;
};

// "bfloat16", "float8_e4m3 per tensor, static", "float8_e4m3 block 128x128, static", …
std::string to_string(const QuantScheme& scheme);

// How scales are laid over a [rows, columns] tensor: [] for one, else [block rows, block columns].
Shape scale_shape(const QuantScheme& scheme, int64_t rows, int64_t columns);

// The shape in which a [rows, columns] matrix of the element type is stored.
Shape stored_shape(Shape shape, DType element);

inline constexpr QuantScheme kFp8PerTensor{.element = DType::kE4M3};

// What a linear is made of: its weight's scheme and its input's.
struct LinearScheme {
  QuantScheme weights;
  QuantScheme inputs;

  bool quantized() const { return weights.quantized(); }
  bool operator==(const LinearScheme&) const = default;
};

inline constexpr LinearScheme kFp8Linear{.weights = kFp8PerTensor, .inputs = kFp8PerTensor};
inline constexpr LinearScheme kFp8PerChannelPerToken{
    .weights = {.element = DType::kE4M3, .block_rows = 1},
    .inputs = {.element = DType::kE4M3, .block_rows = 1, .dynamic = true}};

inline constexpr LinearScheme kFp8Block{
    .weights = {.element = DType::kE4M3, .block_rows = 128, .block_columns = 128},
    .inputs = {.element = DType::kE4M3, .block_rows = 1, .block_columns = 128, .dynamic = true}};
inline constexpr LinearScheme kInt8WeightOnly{.weights = {.element = DType::kI8, .block_rows = 1},
                                              .inputs = {}};
inline constexpr LinearScheme kInt4WeightOnly{
    .weights = {.element = DType::kI4x2, .block_rows = 1, .block_columns = 128}, .inputs = {}};

// "float8_e4m3 block 1xall, static; inputs float8_e4m3 block 1xall, dynamic", …
std::string to_string(const LinearScheme& scheme);

}  // namespace octavo
