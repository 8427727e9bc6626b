// TensorObserver: statistics of tensors where they are, read together when a layer has run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "core/device.h"
#include "ops/device_kernels.h"
#include "quant/statistics.h"

namespace octavo {

class TensorObserver {
 public:
  // At most `capacity` observations between two calls of finish().
  TensorObserver(Device& device, const DeviceKernels* kernels, size_t capacity);

  // Begins to observe a tensor of the device, which may be overwritten by later work. The result
  // where it is known at once, null elsewhere; valid until the next call.
  const ObservedTensor* observe(const TensorView& tensor);
  // What was observed since the last call, in order. Waits for the device.
  std::vector<ObservedTensor> finish();

 private:
  Device& device_;
  const DeviceKernels* kernels_;
  size_t capacity_;
  std::shared_ptr<std::byte[]> totals_, staging_;  // [capacity] ObservedTotals
  std::vector<uint64_t> counts_;                   // elements of each
  std::vector<ObservedTensor> on_host_;
};

}  // namespace octavo
