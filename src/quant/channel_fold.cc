// Finding and applying foldable channel scales.
// SPDX-License-Identifier: Apache-2.0
#include "quant/channel_fold.h"

#include <algorithm>

#include "program/rewrite.h"

namespace octavo {
namespace {

// The tensor that can undo a scaling of x, or an empty group.
FoldGroup producer_group(const Program& program, TensorId x) {
  const int index = producer_of(program, x);
  if (index < 0) return {};
  const Call& producer = program.calls[static_cast<size_t>(index)];
  if (producer.op == Op::kRmsNorm) return {.producer = program.tensor(producer.inputs[1]).name};
  if (producer.op != Op::kSwiglu) return {};
  const int up = producer_of(program, producer.inputs[1]);
  if (up < 0 || program.calls[static_cast<size_t>(up)].op != Op::kLinear) return {};
  const Call& linear = program.calls[static_cast<size_t>(up)];
  if (linear.inputs[4] != kNoTensor) return {};  // the bias would have to follow
  return {.producer = program.tensor(linear.inputs[1]).name, .producer_rows = true};
}

}  // namespace

std::vector<FoldGroup> fold_groups(const ModelDir& model, const std::set<std::string>& modules) {
  const Program program = model.architecture->emit(model.config, {.dtype = DType::kF32});
  std::vector<FoldGroup> groups;
  std::set<TensorId> seen;
  for (const Call& call : program.calls) {
    if (call.op != Op::kLinear || !seen.insert(call.inputs[0]).second) continue;
    FoldGroup group = producer_group(program, call.inputs[0]);
    if (group.producer.empty()) continue;
    const std::vector<int> readers = consumers_of(program, call.inputs[0]);
    const bool all = std::all_of(readers.begin(), readers.end(), [&](int reader) {
      const Call& linear = program.calls[static_cast<size_t>(reader)];
      group.consumers.push_back(linear.module);
      return linear.op == Op::kLinear && modules.contains(linear.module);
    });
    if (all) groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<float> FoldedWeights::fold_norm(const std::string& name,
                                            const std::vector<float>& scales) {
  const Tensor before = read_tensor_as(*source_, name, DType::kF32);
  const DType dtype = source_->info(name)->dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
  Tensor divided(DType::kF32, before.shape()), stored(dtype, before.shape());
  const int64_t count = before.shape().elements();
  for (int64_t i = 0; i < count; ++i)
    divided.as<float>()[i] = before.as<float>()[i] / scales[static_cast<size_t>(i)];
  convert(divided.data(), DType::kF32, stored.data(), dtype, count);
  convert(stored.data(), dtype, divided.data(), DType::kF32, count);
  std::vector<float> factors(scales.size(), 1.0f);
  for (int64_t i = 0; i < count; ++i) {
    // A channel that the norm switches off has no quotient and needs none.
    if (divided.as<float>()[i] != 0.0f)
      factors[static_cast<size_t>(i)] = before.as<float>()[i] / divided.as<float>()[i];
  }
  norms_[name] = std::move(stored);
  return factors;
}

void FoldedWeights::fold(const FoldGroup& group, const std::vector<float>& scales) {
  std::vector<float> factors = scales;
  if (group.producer_rows) {
    rows_[group.producer] = scales;
  } else {
    factors = fold_norm(group.producer, scales);
  }
  for (const std::string& module : group.consumers) columns_[module + ".weight"] = factors;
}

std::optional<WeightInfo> FoldedWeights::info(std::string_view name) const {
  if (const auto norm = norms_.find(name); norm != norms_.end())
    return WeightInfo{norm->second.dtype(), norm->second.shape()};
  std::optional<WeightInfo> info = source_->info(name);
  if (info && (columns_.contains(name) || rows_.contains(name))) info->dtype = DType::kF32;
  return info;
}

void FoldedWeights::read(std::string_view name, int64_t row_begin,
                         std::span<std::byte> destination) const {
  if (const auto norm = norms_.find(name); norm != norms_.end()) {
    const int64_t at = row_begin * size_of(norm->second.dtype());
    std::copy_n(norm->second.data() + at, destination.size(), destination.data());
    return;
  }
  const auto columns = columns_.find(name);
  const auto rows = rows_.find(name);
  if (columns == columns_.end() && rows == rows_.end())
    return source_->read(name, row_begin, destination);
  const WeightInfo stored = *source_->info(name);
  const auto count = static_cast<int64_t>(destination.size() / sizeof(float));
  Tensor raw(stored.dtype, {count});
  source_->read(name, row_begin, {raw.data(), static_cast<size_t>(raw.bytes())});
  convert(raw.data(), stored.dtype, destination.data(), DType::kF32, count);
  auto* values = reinterpret_cast<float*>(destination.data());
  const int64_t width = stored.shape[1];
  for (int64_t i = 0; i < count; ++i) {
    if (columns != columns_.end()) values[i] *= columns->second[static_cast<size_t>(i % width)];
    if (rows != rows_.end()) values[i] /= rows->second[static_cast<size_t>(row_begin + i / width)];
  }
}

}  // namespace octavo
