// CudaDevice: one GPU with one stream.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "core/device.h"

namespace octavo {

// Whether this program was built with the CUDA backend.
bool has_cuda_backend();

// What the GPUs of this machine are; empty where there is no driver or no device.
std::vector<DeviceProperties> cuda_devices();

// Whether one GPU can read and write the memory of another; false where either does not exist.
bool cuda_devices_reach(int from, int to);

// Throws Error(kDevice) where the device does not exist or does not start.
std::unique_ptr<Device> open_cuda_device(int index);

}  // namespace octavo
