// Tensors: bytes + shape + dtype. A TensorView points, a Tensor owns.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "core/dtype.h"
#include "core/error.h"

namespace octavo {

// Up to eight dimensions; rank 0 is a scalar.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
    OCTAVO_CHECK(dims.size() <= kMaxRank);
    for (int i = 0; i < rank_; ++i) dims_[i] = dims[i];
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[axis]; }
  int64_t& operator[](int axis) { return dims_[axis]; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  // Product of all dimensions; callers validate shapes from outside with checked_mul first.
  int64_t elements() const;
  bool operator==(const Shape& other) const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[4096, 1024]"

// A typed pointer to row-major data. Rows (all axes but the first are dense) may be `row_stride`
// elements apart, so that the column slice of a merged linear's output is a view too.
struct TensorView {
  std::byte* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t row_stride = 0;  // elements between shape[0] neighbours

  TensorView() = default;
  TensorView(void* bytes, DType type, Shape dims)
      : data(static_cast<std::byte*>(bytes)),
        dtype(type),
        shape(dims),
        row_stride(dense_row_stride()) {}

  bool defined() const { return data != nullptr || shape.rank() > 0; }
  bool dense() const {
    return shape.rank() < 2 || shape[0] <= 1 || row_stride == dense_row_stride();
  }
  int64_t rows() const { return shape.rank() == 0 ? 1 : shape[0]; }
  int64_t columns() const { return dense_row_stride(); }  // elements of one row
  int64_t elements() const { return shape.elements(); }
  int64_t bytes() const { return elements() * size_of(dtype); }

  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
  template <typename T>
  T* row(int64_t index) const {
    return as<T>() + index * row_stride;
  }

 private:
  int64_t dense_row_stride() const {
    int64_t stride = 1;
    for (int axis = 1; axis < shape.rank(); ++axis) stride *= shape[axis];
    return stride;
  }
};

// Host memory aligned to 64 bytes, zeroed; throws Error(kOutOfMemory) with the bytes asked for.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);
  // Part of a larger allocation, which stays alive with it.
  Tensor(std::shared_ptr<std::byte[]> storage, uint64_t offset, DType dtype, Shape shape)
      : storage_(std::move(storage)), view_(storage_.get() + offset, dtype, shape) {}

  const TensorView& view() const { return view_; }
  const Shape& shape() const { return view_.shape; }
  DType dtype() const { return view_.dtype; }
  bool defined() const { return storage_ != nullptr; }
  int64_t bytes() const { return view_.bytes(); }
  std::byte* data() const { return view_.data; }
  template <typename T>
  T* as() const {
    return view_.as<T>();
  }

 private:
  std::shared_ptr<std::byte[]> storage_;
  TensorView view_;
};

// 64-byte aligned host bytes, not initialised; throws Error(kOutOfMemory).
std::shared_ptr<std::byte[]> allocate_host(int64_t bytes);

}  // namespace octavo
