// Tensors of a checkpoint in the memory of a device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/device.h"
#include "model/weight_source.h"
#include "ops/device_kernels.h"

namespace octavo {

// Writes the whole tensor to `to` as `dtype`: made by the device itself where its elements follow
// from a pattern, else read, converted and uploaded. `check` sees the host's copy, where there is
// one, and may be null. Returns its bytes.
int64_t place_tensor(const WeightSource& source, std::string_view name, const TensorView& to,
                     Device& device, const DeviceKernels* kernels,
                     const std::function<void(const TensorView&)>& check = nullptr);

}  // namespace octavo
