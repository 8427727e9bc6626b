// Emulated as the narrow ones.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/ptx/wgmma.cuh"
