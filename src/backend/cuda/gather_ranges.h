// Copies from host memory that the device reads by itself, many at once.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/launch.h"
#include "core/device.h"

namespace octavo::cuda {

// At most Device::kMaxRanges; addresses, pitches and row bytes are multiples of 4.
void launch_gather_ranges(const CopyRange* ranges, int count, const Launch& where);

}  // namespace octavo::cuda
