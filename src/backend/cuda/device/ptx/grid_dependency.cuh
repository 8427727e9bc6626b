// Programmatic dependent launch: waiting on the previous grid, letting the next one start.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace octavo::device {

// Returns once the grids that this one depends on have finished and their writes are visible. Every
// CTA calls it before its first write and its first read of anything but weights: that makes
// completion transitive along a chain of kernels. Free where the launch has no such dependency;
// nothing below compute capability 9.0, where launches wait for each other.
__device__ __forceinline__ void wait_for_dependencies() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the dependent grid become resident; it still waits for this grid's end before it reads.
__device__ __forceinline__ void launch_dependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace octavo::device
