// Tensor storage on the host.
// SPDX-License-Identifier: Apache-2.0
#include "core/tensor.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <cstring>

#include "core/checked.h"

namespace octavo {

int64_t Shape::elements() const {
  int64_t product = 1;
  for (const int64_t dim : dims()) product *= dim;
  return product;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i) {
    if (dims_[i] != other.dims_[i]) return false;
  }
  return true;
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape.dims(), ", "));
}

std::shared_ptr<std::byte[]> allocate_host(int64_t bytes) {
  constexpr int64_t kAlignment = 64;
  const int64_t padded = round_up(bytes < 1 ? 1 : bytes, kAlignment);
  void* memory = std::aligned_alloc(kAlignment, static_cast<size_t>(padded));
  if (memory == nullptr) {
    throw Error(ErrorCategory::kOutOfMemory,
                fmt::format("cannot allocate {} bytes of host memory", bytes));
  }
  return {static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); }};
}

Tensor::Tensor(DType dtype, Shape shape) {
  const int64_t bytes = shape.elements() * size_of(dtype);
  storage_ = allocate_host(bytes);
  std::memset(storage_.get(), 0, static_cast<size_t>(bytes));
  view_ = TensorView(storage_.get(), dtype, shape);
}

}  // namespace octavo
