// Statistics of calibration accumulated on the device: those of quant/statistics.h.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/launch.h"
#include "ops/observe.h"

namespace octavo::cuda {

void launch_observe(const ObservedRows& x, const Launch& where);

}  // namespace octavo::cuda
