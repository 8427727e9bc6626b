// A quantization format as a value: what the elements are and how scales are laid over them.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: algorithms produce schemes, kernels answer "can I run this?", layers know neither.
#pragma once

#include <cstdint>
#include <string>

#include "core/dtype.h"

namespace octavo {

// Scales cover blocks of block_rows × block_columns elements; 0 means the whole extent of that
// axis. Every scale multiplies on dequantization: value = code × scale.
struct QuantScheme {
  DType element = DType::kBF16;
  int64_t block_rows = 0;
  int64_t block_columns = 0;
  bool dynamic = false;  // scales are computed from the data at run time

  bool quantized() const { return element == DType::kE4M3; }
  bool operator==(const QuantScheme&) const = default;
};

// "bfloat16", "float8_e4m3 per tensor, static", "float8_e4m3 block 128x128, static", …
std::string to_string(const QuantScheme& scheme);

inline constexpr QuantScheme kFp8PerTensor{.element = DType::kE4M3};

}  // namespace octavo
