// Mistral: Llama's layer whose queries see a window of keys.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/architecture.h"

namespace octavo {

extern const Architecture kMistral;

}  // namespace octavo
