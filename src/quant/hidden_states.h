// HiddenStates: what a group of samples carries from layer to layer, on the device or on the host.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"
#include "program/program.h"

namespace octavo {

// Device memory that hidden states may take; what exceeds it spills to the host.
class SpillBudget {
 public:
  explicit SpillBudget(int64_t device_bytes) : left_(device_bytes) {}
  bool take(int64_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }
  void spilled(int64_t bytes) { spilled_bytes_ += bytes; }
  int64_t spilled_bytes() const { return spilled_bytes_; }

 private:
  int64_t left_;
  int64_t spilled_bytes_ = 0;
};

class HiddenStates {
 public:
  // Keeps a copy of an activation. Its memory stays for the next layer's of the same size.
  void save(TensorId id, const TensorView& view, Device& device, SpillBudget& budget);
  // Writes the copy back; nothing where there is none.
  void restore(TensorId id, const TensorView& view, Device& device) const;
  std::vector<TensorId> ids() const;
  // Forgets which activations are kept, not their memory.
  void clear();

 private:
  struct Buffer {
    std::shared_ptr<std::byte[]> memory;
    int64_t bytes = 0;
    bool on_device = false;
  };

  std::map<TensorId, Buffer> kept_;
  std::multimap<int64_t, Buffer> free_;  // by bytes
};

}  // namespace octavo
