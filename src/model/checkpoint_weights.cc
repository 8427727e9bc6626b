// Weights of a checkpoint on disk.
// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint_weights.h"

#include "core/log.h"

namespace octavo {

CheckpointWeights::CheckpointWeights(const std::filesystem::path& directory)
    : checkpoint_(Checkpoint::open(directory)) {
  for (const std::string& warning : checkpoint_.warnings()) log_warning("{}", warning);
}

std::optional<WeightInfo> CheckpointWeights::info(std::string_view name) const {
  const TensorInfo* tensor = checkpoint_.find(name);
  if (tensor == nullptr) return std::nullopt;
  return WeightInfo{checkpoint_.dtype(name), tensor->shape};
}

std::string CheckpointWeights::file_of(std::string_view name) const {
  return checkpoint_.contains(name) ? checkpoint_.file_of(name) : checkpoint_.directory().string();
}

void CheckpointWeights::read(std::string_view name, int64_t row_begin,
                             std::span<std::byte> destination) const {
  const WeightInfo weight = *info(name);
  const int64_t rows = weight.shape.rank() == 0 ? 1 : weight.shape[0];
  const int64_t row_bytes = rows == 0 ? 0 : weight.shape.elements() / rows * size_of(weight.dtype);
  checkpoint_.read(name, static_cast<uint64_t>(row_begin * row_bytes), destination);
}

}  // namespace octavo
