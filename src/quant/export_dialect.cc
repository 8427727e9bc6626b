// What compressed-tensors stores otherwise than ModelOpt.
// SPDX-License-Identifier: Apache-2.0
#include "quant/export_dialect.h"

#include <algorithm>

#include "core/checked.h"
#include "numerics/integer_codes.h"

namespace octavo {
namespace {

constexpr int64_t kCodesInWord = 8;

}  // namespace

DialectWeights::DialectWeights(std::shared_ptr<const QuantizedWeights> weights, ExportFormat format,
                               const ModelDir& model, const QuantizationPlan& plan)
    : weights_(std::move(weights)) {
  for (const std::string& name : weights_->names()) entries_[name] = {name, *weights_->info(name)};
  // 4-bit pairs have no type of their own in a file.
  for (auto& [name, entry] : entries_) {
    if (entry.info.dtype == DType::kI4x2) entry.info.dtype = DType::kU8;
  }
  if (format == ExportFormat::kModelOpt) return;
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    if (plan.scales.contains(tensor.module + ".weight_scale")) add_linear(tensor);
    add_cache_scale(tensor);
  }
}

void DialectWeights::add(const std::string& name, const std::string& source,
                         const WeightInfo& info) {
  if (name != source) entries_.erase(source);
  entries_[name] = {source, info};
}

void DialectWeights::add_linear(const ModelTensor& tensor) {
  for (const char* suffix : {".weight_scale", ".input_scale"}) {
    const auto it = entries_.find(tensor.module + suffix);
    if (it != entries_.end() && it->second.info.shape.rank() == 0) it->second.info.shape = {1};
  }
  if (weights_->info(tensor.name)->dtype != DType::kI4x2) return;
  const std::string packed = tensor.module + ".weight_packed";
  add(packed, tensor.name,
      {DType::kI32, {tensor.shape[0], ceil_div(tensor.shape[1], kCodesInWord)}});
  entries_[packed].packed = true;
  Entry shape{tensor.name, {DType::kI64, {2}}};
  shape.shape = true;
  entries_[tensor.module + ".weight_shape"] = shape;
}

void DialectWeights::add_cache_scale(const ModelTensor& tensor) {
  if (tensor.role != Role::kK && tensor.role != Role::kV) return;
  const std::string kind = tensor.role == Role::kK ? ".k_scale" : ".v_scale";
  const std::string source = tensor.module + kind;
  if (!entries_.contains(source)) return;
  add(tensor.module.substr(0, tensor.module.rfind('.')) + kind, source, {DType::kF32, {1}});
}

std::vector<std::string> DialectWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

std::optional<WeightInfo> DialectWeights::info(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? std::nullopt : std::optional(it->second.info);
}

void DialectWeights::read(std::string_view name, int64_t row_begin,
                          std::span<std::byte> destination) const {
  const Entry& entry = entries_.find(name)->second;
  if (entry.packed) return read_packed(entry, row_begin, destination);
  if (!entry.shape) return weights_->read(entry.source, row_begin, destination);
  const Shape pairs = weights_->info(entry.source)->shape;
  const int64_t shape[] = {pairs[0] * 2, pairs[1]};
  std::copy_n(reinterpret_cast<const std::byte*>(shape + row_begin), destination.size(),
              destination.data());
}

// Words of eight codes along a row, each offset by 8; the first in the lowest bits.
void DialectWeights::read_packed(const Entry& entry, int64_t row_begin,
                                 std::span<std::byte> destination) const {
  const int64_t words = entry.info.shape[1];
  const int64_t columns = weights_->info(entry.source)->shape[1];
  const int64_t rows = static_cast<int64_t>(destination.size()) / (words * 4);
  const int64_t first_pair = row_begin / 2;
  const int64_t pairs = ceil_div(row_begin + rows, 2) - first_pair;
  std::vector<std::byte> codes(static_cast<size_t>(pairs * columns));
  weights_->read(entry.source, first_pair, codes);
  auto* to = reinterpret_cast<uint32_t*>(destination.data());
  std::fill_n(to, rows * words, 0u);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row_begin + row - 2 * first_pair;
    for (int64_t k = 0; k < columns; ++k) {
      const auto pair = static_cast<uint8_t>(codes[static_cast<size_t>(at / 2 * columns + k)]);
      const auto code = static_cast<uint32_t>(unpack_int4(pair, static_cast<int>(at % 2)) + 8);
      to[row * words + k / kCodesInWord] |= code << (k % kCodesInWord * 4);
    }
  }
}

CheckpointQuantization with_names(const CheckpointQuantization& quantization,
                                  const ModelDir& model) {
  CheckpointQuantization named = quantization;
  named.exclude_modules.clear();
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const bool linear = tensor.lowest == Precision::kEightBit || tensor.role == Role::kLmHead;
    if (linear && is_excluded(quantization.exclude_modules, tensor.module))
      named.exclude_modules.push_back(tensor.module);
  }
  return named;
}

}  // namespace octavo
