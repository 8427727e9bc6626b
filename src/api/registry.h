// The kernel tables that this program was built with: the one place that names concrete backends.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/kernel.h"

namespace octavo {

// All kernels of all backends, made once.
const KernelRegistry& kernel_registry();

}  // namespace octavo
