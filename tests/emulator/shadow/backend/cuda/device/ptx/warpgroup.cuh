// Emulated warpgroups: named barriers; registers are not counted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "machine.h"

namespace octavo::device {

template <int kRegisters>
void give_up_registers() {}
template <int kRegisters>
void take_registers() {}

inline void wait_named(int name, int threads) { emulator::named_barrier(name, threads, true); }
inline void arrive_named(int name, int threads) { emulator::named_barrier(name, threads, false); }

}  // namespace octavo::device
