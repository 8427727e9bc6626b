// StepBuffers: the inputs of a Program at fixed addresses of a device, filled anew for every step.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "core/device.h"
#include "program/batch.h"
#include "program/interpreter.h"

namespace octavo {

// Fixed addresses are what graphs need; the block table keeps the row stride of its maximum.
class StepBuffers {
 public:
  // Room for steps of at most `maxima`; `in_flight` uploads may wait for the device at once.
  StepBuffers(const SymbolValues& maxima, Device& device, int in_flight = 1);

  void bind_to(Interpreter& interpreter) const;

  // Waits where the staging memory of `in_flight` uploads ago is still being read.
  void upload(const Batch& batch);

  // [tokens] int32 of the device: for each token the slot whose last sample it is, or -1.
  const TensorView& token_slots() const { return token_slots_; }
  const TensorView& token_ids() const { return token_ids_; }

 private:
  struct Input {
    std::string_view name;
    TensorView device;
    int64_t staging_offset = 0;
  };
  struct Slot {
    std::shared_ptr<std::byte[]> staging;
    std::unique_ptr<DeviceEvent> done;
  };

  TensorView add(std::string_view name, DType dtype, Shape shape);
  CopyRange stage(const Input& input, const void* values, int64_t bytes, Slot& slot) const;

  Device& device_;
  std::vector<Input> inputs_;
  int64_t staging_bytes_ = 0;
  std::shared_ptr<std::byte[]> memory_;
  TensorView token_slots_, token_ids_;
  std::vector<Slot> slots_;
  size_t next_ = 0;
};

}  // namespace octavo
