// Llama: RMS norm, rotary positions, grouped-query attention, SwiGLU.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/architecture.h"

namespace octavo {

extern const Architecture kLlama;

}  // namespace octavo
