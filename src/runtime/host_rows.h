// HostRows: float rows of a device, readable by the host.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/device.h"
#include "core/tensor.h"

namespace octavo {

class HostRows {
 public:
  explicit HostRows(Device& device) : device_(device) {}

  // Waits for the device. The host's own memory is read where it is; other rows are valid until the
  // next call. `rows` is dense.
  const float* bring(const TensorView& rows);

 private:
  Device& device_;
  std::shared_ptr<std::byte[]> staging_;
  int64_t staging_bytes_ = 0;
};

}  // namespace octavo
