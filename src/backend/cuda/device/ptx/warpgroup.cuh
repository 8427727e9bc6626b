// Roles of warpgroups: how many registers each keeps, and taking turns.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace octavo::device {

// By every warp of a warpgroup; a multiple of 8. The kernel's launch bounds set what it starts
// with.
template <int kRegisters>
__device__ __forceinline__ void give_up_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// A named barrier of `threads`: some wait at it, the others only arrive. 0 is __syncthreads.
__device__ __forceinline__ void wait_named(int name, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory");
}
__device__ __forceinline__ void arrive_named(int name, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(name), "r"(threads) : "memory");
}

}  // namespace octavo::device
