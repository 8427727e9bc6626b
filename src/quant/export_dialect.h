// Canonical tensors under the names, shapes and packings of the layout that is written.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "quant/export.h"

namespace octavo {

class DialectWeights final : public WeightSource {
 public:
  DialectWeights(std::shared_ptr<const QuantizedWeights> weights, ExportFormat format,
                 const ModelDir& model, const QuantizationPlan& plan);

  std::vector<std::string> names() const override;
  std::optional<WeightInfo> info(std::string_view name) const override;
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;

 private:
  struct Entry {
    std::string source;
    WeightInfo info;
    bool packed = false;  // codes of 4 bits in words of 32
    bool shape = false;   // the two numbers of weight_shape
  };

  void add(const std::string& name, const std::string& source, const WeightInfo& info);
  void add_linear(const ModelTensor& tensor);
  void add_cache_scale(const ModelTensor& tensor);
  void read_packed(const Entry& entry, int64_t row_begin, std::span<std::byte> destination) const;

  std::shared_ptr<const QuantizedWeights> weights_;
  std::map<std::string, Entry, std::less<>> entries_;  // by written name
};

// The same with the names of the modules that patterns exclude: the layout knows no wildcards.
CheckpointQuantization with_names(const CheckpointQuantization& quantization,
                                  const ModelDir& model);

}  // namespace octavo
