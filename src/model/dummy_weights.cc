// Random weights of realistic spread.
// SPDX-License-Identifier: Apache-2.0
#include "model/dummy_weights.h"

#include <cmath>

#include "numerics/bf16.h"
#include "numerics/e4m3.h"
#include "numerics/integer_codes.h"

namespace octavo {
namespace {

constexpr float kCodeRange = 256.0f;            // of E4M3 matrices
constexpr float kFixedScale = 8.0f / kE4M3Max;  // of inputs, keys and values

// The largest code that is drawn.
float code_range(DType dtype) {
  if (dtype == DType::kI8) return kInt8Max;
  return dtype == DType::kI4x2 ? kInt4Max : kCodeRange;
}

// splitmix64: a bijective mix of a counter.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

uint64_t seed_of(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

// Uniform in [-1, 1).
float uniform(uint64_t seed, int64_t index) {
  const uint64_t bits = mix(seed + static_cast<uint64_t>(index));
  return static_cast<float>(static_cast<int32_t>(bits >> 32)) * 0x1p-31f;
}

// Half the width of a uniform distribution with variance 1 / columns.
float half_width(int64_t columns) { return std::sqrt(3.0f / static_cast<float>(columns)); }

int64_t columns_of(const WeightInfo& info) { return info.shape.rank() == 2 ? info.shape[1] : 1; }

}  // namespace

void write_fill(const FillPattern& fill, int64_t first, std::span<std::byte> destination) {
  const int64_t count = static_cast<int64_t>(destination.size()) / size_of(fill.dtype);
  for (int64_t i = 0; i < count; ++i) {
    const float value =
        fill.random ? fill.width * uniform(fill.seed, fill.index_of(first + i)) : fill.constant;
    if (fill.dtype == DType::kF32) reinterpret_cast<float*>(destination.data())[i] = value;
    if (fill.dtype == DType::kBF16) reinterpret_cast<bf16*>(destination.data())[i] = to_bf16(value);
    if (fill.dtype == DType::kE4M3) reinterpret_cast<e4m3*>(destination.data())[i] = to_e4m3(value);
    if (fill.dtype == DType::kI8)
      reinterpret_cast<int8_t*>(destination.data())[i] = to_int8_code(value);
    // Both codes of a pair are drawn from one number.
    if (fill.dtype == DType::kI4x2)
      reinterpret_cast<uint8_t*>(destination.data())[i] =
          pack_int4(to_int4_code(value), to_int4_code(-value * uniform(fill.seed + 1, first + i)));
  }
}

DummyWeights::DummyWeights(const Architecture& architecture, const ModelConfig& config,
                           const CheckpointQuantization& quantization) {
  const DType sixteen_bit = config.dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
  const auto add_scale = [&](const std::string& name, float value, Shape shape = {}) {
    entries_[name] = {.info = {DType::kF32, shape}, .constant = value};
  };
  for (const ModelTensor& tensor : model_tensors(architecture, config)) {
    Entry entry{.info = {sixteen_bit, tensor.shape},
                .constant = tensor.is_bias() ? 0.0f : 1.0f,
                .random = tensor.shape.rank() == 2};
    const LinearScheme scheme = quantization.scheme_of(tensor.module);
    if (scheme.quantized() && tensor.lowest == Precision::kEightBit) {
      entry.info.dtype = scheme.weights.element;
      entry.info.shape = stored_shape(tensor.shape, entry.info.dtype);
      add_scale(tensor.module + ".weight_scale",
                half_width(tensor.shape[1]) / code_range(entry.info.dtype),
                scale_shape(scheme.weights, tensor.shape[0], tensor.shape[1]));
      if (scheme.inputs.quantized() && !scheme.inputs.dynamic)
        add_scale(tensor.module + ".input_scale", kFixedScale);
    }
    entries_[tensor.name] = entry;
    if (quantization.kv_cache && tensor.role == Role::kK)
      add_scale(tensor.module + ".k_scale", kFixedScale);
    if (quantization.kv_cache && tensor.role == Role::kV)
      add_scale(tensor.module + ".v_scale", kFixedScale);
  }
}

std::vector<std::string> DummyWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

std::optional<WeightInfo> DummyWeights::info(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? std::nullopt : std::optional(it->second.info);
}

std::optional<FillPattern> DummyWeights::fill_of(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return std::nullopt;
  const Entry& entry = it->second;
  const DType dtype = entry.info.dtype;
  return FillPattern{
      .dtype = dtype,
      .seed = seed_of(name),
      .width = is_code(dtype) ? code_range(dtype) : half_width(columns_of(entry.info)),
      .constant = entry.constant,
      .random = entry.random};
}

void DummyWeights::read(std::string_view name, int64_t row_begin,
                        std::span<std::byte> destination) const {
  write_fill(*fill_of(name), row_begin * columns_of(*info(name)), destination);
}

}  // namespace octavo
