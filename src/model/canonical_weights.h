// CanonicalWeights: a checkpoint's tensors under the names and shapes that the program knows.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: dialects differ in the names, shapes and types of scales and in the packing of codes; here
// they end. "X.weight_scale" is float32 of scale_shape(), "X.input_scale", "….k_proj.k_scale" and
// "….v_proj.v_scale" are one float32.
#pragma once

#include <map>
#include <set>

#include "io/quantization_config.h"
#include "model/architecture.h"
#include "model/weight_source.h"

namespace octavo {

class CanonicalWeights final : public WeightSource {
 public:
  CanonicalWeights(std::shared_ptr<const WeightSource> stored,
                   const std::vector<ModelTensor>& tensors,
                   const CheckpointQuantization& quantization);

  std::vector<std::string> names() const override;
  std::optional<WeightInfo> info(std::string_view name) const override;
  std::string file_of(std::string_view name) const override;
  void verify_unchanged() const override { stored_->verify_unchanged(); }
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;

  // What cannot be told: scales that stand under two names.
  const std::vector<std::string>& findings() const { return findings_; }

 private:
  enum class Form : uint8_t { kSame, kScale, kPacked };
  struct Entry {
    std::string stored;
    WeightInfo info;
    Form form = Form::kSame;
  };

  void add_scale(const std::string& name, const std::vector<std::string>& spellings,
                 const Shape& shape);
  void add_codes(const ModelTensor& tensor, DType element);
  void add_linear(const ModelTensor& tensor, const LinearScheme& scheme);
  void add_cache_scale(const ModelTensor& tensor);
  void read_packed(const Entry& entry, int64_t row_begin, std::span<std::byte> destination) const;

  std::shared_ptr<const WeightSource> stored_;
  std::map<std::string, Entry, std::less<>> entries_;  // by canonical name
  std::set<std::string, std::less<>> taken_;           // stored names that entries stand for
  std::vector<std::string> findings_;
};

}  // namespace octavo
