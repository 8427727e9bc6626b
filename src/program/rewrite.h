// Rewriting helpers that passes share: consumers, replacement, removal of what is dead.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "program/program.h"

namespace octavo {

// Index of the call that writes the tensor itself (not a view of it), or -1.
int producer_of(const Program& program, TensorId id);

// Indices of the calls that read the tensor, in order.
std::vector<int> consumers_of(const Program& program, TensorId id);

// Removes the calls at these indices (any order) and renumbers nothing else.
void remove_calls(Program& program, std::vector<int> indices);

// Drops tensors that no call, view or output names, and renumbers the rest.
void remove_dead_tensors(Program& program);

}  // namespace octavo
