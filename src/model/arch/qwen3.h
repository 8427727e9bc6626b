// Qwen3: Llama's layer with an RMS norm on every head of q and k.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/architecture.h"

namespace octavo {

extern const Architecture kQwen3;

}  // namespace octavo
