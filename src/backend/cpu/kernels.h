// The CPU backend's kernels.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: run every op of every Program on any x86-64 machine, with results that depend neither on
// the number of threads, nor on the instruction set, nor on how tokens are batched; be the oracle
// of the kernels of other devices. Rules in docs/numerics.md.
#pragma once

#include <span>

#include "ops/kernel.h"

namespace octavo {

std::span<const Kernel> cpu_kernels();

}  // namespace octavo
