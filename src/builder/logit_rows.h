// What only the logits read is computed for their rows alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "program/program.h"

namespace octavo {

// Behind the last layer's attention every row goes its own way to the logits, and most tokens of a
// prompt have none. Moves the choice of rows in front of the linears there: a prompt saves the last
// layer's o, gate, up and down. The rows that are left have the same bits from kernels whose rows
// do not depend on each other. A Program without linears there is left as it is.
void narrow_to_logit_rows(Program& program);

// For steps whose every token has logits, in order: no rows are chosen.
void give_all_rows_logits(Program& program);

}  // namespace octavo
