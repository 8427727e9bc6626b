// The kernels of the CUDA backend.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: every op of a Program on one GPU, Hopper first, in the bytes of docs/numerics.md. A kernel
// never allocates, synchronises or reads back. Non-goals: choosing between kernels (the builder
// measures them), several devices in one call.
#pragma once

#include <span>

#include "ops/kernel.h"

namespace octavo {

// In order of preference for each op.
std::span<const Kernel> cuda_kernels();

// Sampling, filling and observing; null in a program without the CUDA backend.
const DeviceKernels* cuda_device_kernels();

}  // namespace octavo
