// Experts' rows as CPU kernels walk over them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "core/tensor.h"
#include "core/thread_pool.h"

namespace octavo {

// The rows [begin, end) of one expert.
struct ExpertRows {
  int64_t expert = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

// Calls `body` for every expert that has rows, then clears the rows of `y` that no expert has.
// Throws Error(kInternal) where the offsets do not ascend within the rows of `y`.
void for_each_expert(const TensorView& offsets, const TensorView& y,
                     const std::function<void(const ExpertRows&)>& body);

}  // namespace octavo
