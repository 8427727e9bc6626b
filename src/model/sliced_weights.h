// SlicedWeights: the part of every tensor that one rank of a shared model holds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "model/weight_source.h"

namespace octavo {

// Elements [begin, begin + count) of one axis.
struct WeightSlice {
  int axis = 0;
  int64_t begin = 0;
  int64_t count = 0;
  bool operator==(const WeightSlice&) const = default;
};

using WeightSlices = std::map<std::string, WeightSlice, std::less<>>;  // by tensor

// Slices of rows are read as they lie; slices of columns out of whole rows, a few at a time.
class SlicedWeights final : public WeightSource {
 public:
  // Tensors without a slice are whole.
  SlicedWeights(std::shared_ptr<const WeightSource> whole, WeightSlices slices);

  std::vector<std::string> names() const override { return whole_->names(); }
  std::optional<WeightInfo> info(std::string_view name) const override;
  std::string file_of(std::string_view name) const override { return whole_->file_of(name); }
  std::optional<FillPattern> fill_of(std::string_view name) const override;
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;

 private:
  std::shared_ptr<const WeightSource> whole_;
  WeightSlices slices_;
};

}  // namespace octavo
