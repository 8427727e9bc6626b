// Names, shapes and packings of scales and codes in checkpoints.
// SPDX-License-Identifier: Apache-2.0
#include "model/canonical_weights.h"

#include <algorithm>

#include "numerics/integer_codes.h"

namespace octavo {
namespace {

constexpr int64_t kWordBits = 32;

// One element, or a column of the one dimension that counts.
bool same_elements(const Shape& stored, const Shape& shape) {
  if (stored == shape) return true;
  const bool vector = shape.rank() == 0 || shape[1] == 1;
  return vector && stored.elements() == shape.elements() && stored.rank() <= 2 &&
         (stored.rank() == 0 || stored[0] == stored.elements());
}

// Element `index` of a row of 32-bit words that hold codes of `bits` bits, offset to be unsigned.
int8_t unpack(const uint32_t* words, int64_t index, int bits) {
  const int64_t per_word = kWordBits / bits;
  const uint32_t code = words[index / per_word] >> (index % per_word * bits);
  const int half = 1 << (bits - 1);
  return static_cast<int8_t>(static_cast<int>(code & (2u * static_cast<uint32_t>(half) - 1)) -
                             half);
}

}  // namespace

CanonicalWeights::CanonicalWeights(std::shared_ptr<const WeightSource> stored,
                                   const std::vector<ModelTensor>& tensors,
                                   const CheckpointQuantization& quantization)
    : stored_(std::move(stored)) {
  for (const ModelTensor& tensor : tensors) {
    if (tensor.shape.rank() != 2) continue;
    add_linear(tensor, quantization.scheme_of(tensor.module));
    add_cache_scale(tensor);
  }
}

void CanonicalWeights::add_linear(const ModelTensor& tensor, const LinearScheme& scheme) {
  const std::string& module = tensor.module;
  if (scheme.quantized()) add_codes(tensor, scheme.weights.element);
  add_scale(module + ".weight_scale", {module + ".weight_scale", module + ".weight_scale_inv"},
            scale_shape(scheme.weights, tensor.shape[0], tensor.shape[1]));
  add_scale(module + ".input_scale", {module + ".input_scale", module + ".activation_scale"}, {});
}

void CanonicalWeights::add_cache_scale(const ModelTensor& tensor) {
  if (tensor.role != Role::kK && tensor.role != Role::kV) return;
  const std::string kind = tensor.role == Role::kK ? "k_scale" : "v_scale";
  const std::string attention = tensor.module.substr(0, tensor.module.rfind('.'));
  add_scale(tensor.module + "." + kind,
            {tensor.module + "." + kind, attention + "." + kind, attention + ".qkv_proj." + kind,
             attention + ".attn." + kind, tensor.module + ".output_scale", attention + ".kv_scale"},
            {});
}

void CanonicalWeights::add_scale(const std::string& name, const std::vector<std::string>& spellings,
                                 const Shape& shape) {
  std::string found;
  for (const std::string& spelling : spellings) {
    const std::optional<WeightInfo> info = stored_->info(spelling);
    if (!info) continue;
    taken_.insert(spelling);
    if (!found.empty()) {
      findings_.push_back(
          fmt::format("{}: stands there twice, as {} too", printable(found), printable(spelling)));
      continue;
    }
    found = spelling;
    const bool real = is_float(info->dtype) && info->dtype != DType::kE4M3;
    entries_[name] = {.stored = spelling,
                      .info = {real ? DType::kF32 : info->dtype,
                               same_elements(info->shape, shape) ? shape : info->shape},
                      .form = real ? Form::kScale : Form::kSame};
  }
}

void CanonicalWeights::add_codes(const ModelTensor& tensor, DType element) {
  const std::string packed = tensor.module + ".weight_packed";
  const std::optional<WeightInfo> words = stored_->info(packed);
  const std::optional<WeightInfo> plain = stored_->info(tensor.name);
  const Shape shape = stored_shape(tensor.shape, element);
  if (plain ? is_float(plain->dtype) : !words) return;  // embeddings and whatever stays in 16 bit
  if (tensor.shape[0] % rows_in_row(element) != 0) {
    findings_.push_back(fmt::format("{}: {} is not supported for {} rows", printable(tensor.name),
                                    to_string(element), tensor.shape[0]));
    return;
  }
  if (words && words->dtype == DType::kI32 && !plain) {
    const int64_t per_word = element == DType::kI4x2 ? 8 : 4;
    const Shape expected = {tensor.shape[0], (tensor.shape[1] + per_word - 1) / per_word};
    if (words->shape != expected) {
      findings_.push_back(fmt::format("{}: expected {}, got {}", printable(packed),
                                      to_string(expected), to_string(words->shape)));
      return;
    }
    taken_.insert({packed, tensor.module + ".weight_shape"});
    entries_[tensor.name] = {.stored = packed, .info = {element, shape}, .form = Form::kPacked};
  } else if (element == DType::kI4x2 && plain && plain->dtype == DType::kU8) {
    entries_[tensor.name] = {.stored = tensor.name, .info = {element, plain->shape}};
  }
}

std::vector<std::string> CanonicalWeights::names() const {
  std::set<std::string> names;
  for (std::string& name : stored_->names()) {
    if (!taken_.contains(name)) names.insert(std::move(name));
  }
  for (const auto& [name, entry] : entries_) names.insert(name);
  return {names.begin(), names.end()};
}

std::optional<WeightInfo> CanonicalWeights::info(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it != entries_.end()) return it->second.info;
  return taken_.contains(name) ? std::nullopt : stored_->info(name);
}

std::string CanonicalWeights::file_of(std::string_view name) const {
  const auto it = entries_.find(name);
  return stored_->file_of(it == entries_.end() ? name : std::string_view(it->second.stored));
}

void CanonicalWeights::read(std::string_view name, int64_t row_begin,
                            std::span<std::byte> destination) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return stored_->read(name, row_begin, destination);
  const Entry& entry = it->second;
  if (entry.form == Form::kSame) return stored_->read(entry.stored, row_begin, destination);
  if (entry.form == Form::kPacked) return read_packed(entry, row_begin, destination);
  const Tensor scales = read_tensor_as(*stored_, entry.stored, DType::kF32);
  const int64_t rows = entry.info.shape.rank() == 0 ? 1 : entry.info.shape[0];
  const int64_t row_bytes = scales.bytes() / std::max<int64_t>(rows, 1);
  std::copy_n(scales.data() + row_begin * row_bytes, destination.size(), destination.data());
}

void CanonicalWeights::read_packed(const Entry& entry, int64_t row_begin,
                                   std::span<std::byte> destination) const {
  const int64_t columns = entry.info.shape[1];
  const int64_t words = stored_->info(entry.stored)->shape[1];
  const int64_t rows = static_cast<int64_t>(destination.size()) / columns;
  const int64_t per_row = rows_in_row(entry.info.dtype);
  Tensor packed(DType::kI32, {rows * per_row, words});
  stored_->read(entry.stored, row_begin * per_row,
                {packed.data(), static_cast<size_t>(packed.bytes())});
  for (int64_t row = 0; row < rows; ++row) {
    const auto* first = packed.as<uint32_t>() + row * per_row * words;
    std::byte* to = destination.data() + row * columns;
    for (int64_t k = 0; k < columns; ++k) {
      to[k] = per_row == 1 ? static_cast<std::byte>(unpack(first, k, 8))
                           : std::byte{pack_int4(unpack(first, k, 4), unpack(first + words, k, 4))};
    }
  }
}

}  // namespace octavo
