// Qwen2 (and 2.5): Llama's layer with biases on q, k and v.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/architecture.h"

namespace octavo {

extern const Architecture kQwen2;

}  // namespace octavo
