// The bytes of weights that a decode step reads, which bound its time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "program/program.h"

namespace octavo {

// Every weight that a call reads, once; of a table that is only looked up a step reads a row, which
// is left out. Of experts those of one token count, the least that a step can need.
int64_t weight_bytes_per_step(const Program& program);

}  // namespace octavo
