// Memory plan: where every activation of a Program lives in one arena.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "program/program.h"

namespace octavo {

struct MemoryPlan {
  std::vector<int64_t> offsets;  // by TensorId; -1 for what is no activation, or is never used
  int64_t bytes = 0;
};

// Activations whose lifetimes overlap never overlap in memory; offsets are multiples of 256 bytes,
// sized for `maxima`.
MemoryPlan plan_memory(const Program& program, const SymbolValues& maxima);

// First and last call that touch each activation (through views too); outputs live to the end.
struct Lifetime {
  int first = -1;
  int last = -1;
};
std::vector<Lifetime> lifetimes(const Program& program);

}  // namespace octavo
