// Whole-tensor reads and conversions.
// SPDX-License-Identifier: Apache-2.0
#include "model/weight_source.h"

#include <cmath>
#include <cstring>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

float load(const std::byte* from, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::kF32:
      return reinterpret_cast<const float*>(from)[index];
    case DType::kBF16:
      return to_float(reinterpret_cast<const bf16*>(from)[index]);
    case DType::kF16:
      return to_float(reinterpret_cast<const f16*>(from)[index]);
    case DType::kE4M3:
      return to_float(reinterpret_cast<const e4m3*>(from)[index]);
    default:
      OCTAVO_CHECK(!"a float type");
      return 0;
  }
}

}  // namespace

void convert(const std::byte* from, DType from_dtype, std::byte* to, DType to_dtype,
             int64_t count) {
  if (from_dtype == to_dtype) {
    std::memcpy(to, from, static_cast<size_t>(count * size_of(from_dtype)));
  } else if (to_dtype == DType::kF32) {
    auto* out = reinterpret_cast<float*>(to);
    for (int64_t i = 0; i < count; ++i) out[i] = load(from, from_dtype, i);
  } else {
    OCTAVO_CHECK(to_dtype == DType::kBF16);
    auto* out = reinterpret_cast<bf16*>(to);
    for (int64_t i = 0; i < count; ++i) out[i] = to_bf16(load(from, from_dtype, i));
  }
}

Tensor read_tensor(const WeightSource& source, std::string_view name) {
  const std::optional<WeightInfo> info = source.info(name);
  if (!info) throw bad_file(source.file_of(name), name, "expected a tensor of this name, got none");
  Tensor tensor(info->dtype, info->shape);
  source.read(name, 0, {tensor.data(), static_cast<size_t>(tensor.bytes())});
  return tensor;
}

Tensor read_tensor_as(const WeightSource& source, std::string_view name, DType dtype) {
  Tensor tensor = read_tensor(source, name);
  if (tensor.dtype() == dtype) return tensor;
  if (is_code(tensor.dtype()) || !is_float(tensor.dtype()) ||
      (dtype != DType::kF32 && dtype != DType::kBF16)) {
    throw bad_file(source.file_of(name), name,
                   fmt::format("expected {}, got {}", to_string(dtype), to_string(tensor.dtype())));
  }
  Tensor converted(dtype, tensor.shape());
  convert(tensor.data(), tensor.dtype(), converted.data(), dtype, tensor.shape().elements());
  return converted;
}

NonFinite count_nonfinite(const TensorView& tensor) {
  NonFinite result;
  if (!is_float(tensor.dtype)) return result;
  const int64_t count = tensor.elements();
  for (int64_t i = 0; i < count; ++i) {
    if (std::isfinite(load(tensor.data, tensor.dtype, i))) continue;
    if (result.count++ == 0) result.first = i;
  }
  return result;
}

void require_finite(const WeightSource& source, std::string_view name, const TensorView& tensor,
                    std::string_view hint) {
  const NonFinite bad = count_nonfinite(tensor);
  if (bad.count == 0) return;
  throw bad_file(source.file_of(name), name,
                 fmt::format("expected finite values, got {} that are not, the first at index {}{}",
                             bad.count, bad.first, hint));
}

}  // namespace octavo
