// WeightSource: weights by name, read a tensor or a few rows at a time, wherever they come from.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: the host holds a few tensors at most, so that a 70B model can be quantized, built and
// started in small memory.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "ops/fill.h"

namespace octavo {

struct WeightInfo {
  DType dtype = DType::kBF16;
  Shape shape;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // In a stable order.
  virtual std::vector<std::string> names() const = 0;
  virtual std::optional<WeightInfo> info(std::string_view name) const = 0;
  // The file that errors about the tensor name; empty where there is none.
  virtual std::string file_of(std::string_view) const { return ""; }
  // Error(kEnvironment) where what stands behind it changed since it was opened.
  virtual void verify_unchanged() const {}
  // How a device makes the tensor by itself, where its elements follow from their index.
  virtual std::optional<FillPattern> fill_of(std::string_view) const { return std::nullopt; }
  // Rows [row_begin, row_begin + n) of the tensor, n given by the size of `destination`.
  virtual void read(std::string_view name, int64_t row_begin,
                    std::span<std::byte> destination) const = 0;
};

// The whole tensor; throws Error(kBadFile) naming it where it is missing.
Tensor read_tensor(const WeightSource& source, std::string_view name);

// The whole tensor as `dtype`: F32, BF16 and F16 convert into F32 and BF16; other pairs must be
// equal.
Tensor read_tensor_as(const WeightSource& source, std::string_view name, DType dtype);

// Converts `count` elements; F16 and F32 to BF16 round to nearest even.
void convert(const std::byte* from, DType from_dtype, std::byte* to, DType to_dtype, int64_t count);

// Names the first non-finite element of a float tensor and counts them; 0 where all are finite.
struct NonFinite {
  int64_t count = 0;
  int64_t first = -1;
};
NonFinite count_nonfinite(const TensorView& tensor);
// Throws Error(kBadFile) naming the tensor where an element is not finite; `hint` ends the message.
void require_finite(const WeightSource& source, std::string_view name, const TensorView& tensor,
                    std::string_view hint = "");

}  // namespace octavo
