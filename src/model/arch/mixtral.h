// Mixtral: Mistral's attention and, in place of one MLP, a mixture of expert MLPs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/architecture.h"

namespace octavo {

extern const Architecture kMixtral;

}  // namespace octavo
