// Memory plan: where every activation of a Program lives in one arena.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "program/program.h"

namespace octavo {

// Memory that sums between ranks read where the call before wrote it: two places, which the user
// buffers of a Program take in turns, so that a rank writes to one while others still read the
// other.
inline constexpr int kUserBuffers = 2;

struct MemoryPlan {
  std::vector<int64_t> offsets;  // by TensorId; -1 for what is no activation, or is never used
  int64_t bytes = 0;
  std::vector<int8_t> user_buffers;  // by TensorId: which it is; -1 for what lies in the arena
  int64_t user_buffer_bytes = 0;     // of each
};

// Activations whose lifetimes overlap never overlap in memory; offsets are multiples of 256 bytes,
// sized for `maxima`. A validated Program's user buffers are written after the sum before the last.
MemoryPlan plan_memory(const Program& program, const SymbolValues& maxima);

// First and last call that touch each activation (through views too); outputs live to the end.
struct Lifetime {
  int first = -1;
  int last = -1;
};
std::vector<Lifetime> lifetimes(const Program& program);

// Indices of the calls whose x is a user buffer.
std::vector<int> user_buffer_calls(const Program& program);

}  // namespace octavo
