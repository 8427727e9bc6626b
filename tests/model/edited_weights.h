// A weight source with some tensors replaced or removed, for tests of damaged and unusual models.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "model/weight_source.h"
#include "numerics/bf16.h"

namespace octavo {

inline Tensor scalar_tensor(float value) {
  Tensor tensor(DType::kF32, Shape{});
  *tensor.as<float>() = value;
  return tensor;
}

// Also counts what is read.
class EditedWeights final : public WeightSource {
 public:
  explicit EditedWeights(std::shared_ptr<const WeightSource> source) : source_(std::move(source)) {}

  void replace(const std::string& name, Tensor tensor) { replaced_[name] = std::move(tensor); }
  void remove(const std::string& name) { removed_.insert(name); }
  // One element of a bfloat16 tensor.
  void poke(const std::string& name, int64_t index, float value) {
    if (!replaced_.contains(name)) replaced_[name] = read_tensor(*source_, name);
    replaced_[name].as<bf16>()[index] = to_bf16(value);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const std::string& name : source_->names()) {
      if (!removed_.contains(name)) names.push_back(name);
    }
    return names;
  }

  std::optional<WeightInfo> info(std::string_view name) const override {
    if (removed_.contains(std::string(name))) return std::nullopt;
    const auto it = replaced_.find(std::string(name));
    if (it == replaced_.end()) return source_->info(name);
    return WeightInfo{it->second.dtype(), it->second.shape()};
  }

  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override {
    reads.insert(std::string(name));
    const auto it = replaced_.find(std::string(name));
    if (it == replaced_.end()) return source_->read(name, row_begin, destination);
    const TensorView& view = it->second.view();
    std::copy_n(view.data + row_begin * view.columns() * size_of(view.dtype), destination.size(),
                destination.data());
  }

  mutable std::set<std::string> reads;

 private:
  std::shared_ptr<const WeightSource> source_;
  std::map<std::string, Tensor> replaced_;
  std::set<std::string> removed_;
};

}  // namespace octavo
