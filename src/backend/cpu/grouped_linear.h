// CPU kernels of the op grouped_linear.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "ops/grouped_linear.h"

namespace octavo {

// One for each of linear's, in the same order: an expert's rows are a linear of its own, and so
// keep linear's promises about rows and threads.
std::span<const Kernel> grouped_linear_kernels();

}  // namespace octavo
