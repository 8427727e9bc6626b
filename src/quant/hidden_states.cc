// Saving and restoring of hidden states.
// SPDX-License-Identifier: Apache-2.0
#include "quant/hidden_states.h"

namespace octavo {

void HiddenStates::clear() {
  for (auto& [id, buffer] : kept_) free_.emplace(buffer.bytes, std::move(buffer));
  kept_.clear();
}

std::vector<TensorId> HiddenStates::ids() const {
  std::vector<TensorId> ids;
  for (const auto& [id, buffer] : kept_) ids.push_back(id);
  return ids;
}

void HiddenStates::save(TensorId id, const TensorView& view, Device& device, SpillBudget& budget) {
  const int64_t bytes = view.bytes();
  Buffer buffer;
  if (const auto it = free_.find(bytes); it != free_.end()) {
    buffer = std::move(it->second);
    free_.erase(it);
  } else {
    buffer.bytes = bytes;
    buffer.on_device = budget.take(bytes);
    if (!buffer.on_device) budget.spilled(bytes);
    buffer.memory = buffer.on_device ? device.allocate(bytes) : device.allocate_staging(bytes);
  }
  if (buffer.on_device) {
    device.copy(buffer.memory.get(), view.data, bytes);
  } else {
    device.download(buffer.memory.get(), view.data, bytes);
  }
  kept_.insert_or_assign(id, std::move(buffer));
}

void HiddenStates::restore(TensorId id, const TensorView& view, Device& device) const {
  const auto it = kept_.find(id);
  if (it == kept_.end()) return;
  OCTAVO_CHECK(it->second.bytes == view.bytes());
  if (it->second.on_device) {
    device.copy(view.data, it->second.memory.get(), view.bytes());
  } else {
    device.upload(view.data, it->second.memory.get(), view.bytes());
  }
}

}  // namespace octavo
