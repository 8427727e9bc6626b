// Device memory of values that any operand may have, for timing kernels.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/device.h"

namespace octavo {

// At least `bytes`. Every byte pattern there is finite, of both signs and of varied size in E4M3,
// bfloat16 and float32 alike: zeros would draw less power than weights.
std::shared_ptr<std::byte[]> random_memory(Device& device, int64_t bytes);

}  // namespace octavo
