// Weights of a checkpoint on disk.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>

#include "io/checkpoint.h"
#include "model/weight_source.h"

namespace octavo {

class CheckpointWeights final : public WeightSource {
 public:
  explicit CheckpointWeights(const std::filesystem::path& directory);

  std::vector<std::string> names() const override { return checkpoint_.names(); }
  std::optional<WeightInfo> info(std::string_view name) const override;
  std::string file_of(std::string_view name) const override;
  void verify_unchanged() const override { checkpoint_.verify_unchanged(); }
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override;

  const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  Checkpoint checkpoint_;
};

}  // namespace octavo
