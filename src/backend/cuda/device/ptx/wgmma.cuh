// Warpgroup matrix products of E4M3 operands in shared memory (sm_90a).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

// Orders register and generic shared memory accesses before the products that follow.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

// Rows of 128 bytes of k, as TMA writes them with 128-byte swizzling: groups of eight rows are 1
// KiB and aligned so. A step of 32 bytes along k adds kSwizzledStep to the descriptor.
__device__ __forceinline__ uint64_t wgmma_descriptor_swizzled(uint32_t shared) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kGroup = uint64_t{1024 >> 4} << 32;
  constexpr uint64_t kUnused = uint64_t{1} << 16;
  return kSwizzle128 | kGroup | kUnused | ((shared & 0x3FFFFu) >> 4);
}
inline constexpr uint64_t kSwizzledStep = 32 >> 4;

// d[64, 8 kEights] (+)= a[64, 32] · b[8 kEights, 32]ᵀ, both in shared memory. Of the 16 rows of its
// warp a thread (g, t) holds, for each eight columns, rows g (d[0], d[1]) and g + 8 (d[2], d[3]) at
// columns 2t, 2t + 1.
__device__ __forceinline__ void wgmma_e4m3(float (&d)[1][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n .reg .pred add;\n setp.ne.b32 add, %6, 0;\n "
      "wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 {%0, %1, %2, %3}, %4, %5, add, 1, 1;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3])
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}
__device__ __forceinline__ void wgmma_e4m3(float (&d)[2][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n .reg .pred add;\n setp.ne.b32 add, %10, 0;\n "
      "wgmma.mma_async.sync.aligned.m64n16k32.f32.e4m3.e4m3 {%0, %1, %2, %3, %4, %5, %6, %7}, %8, "
      "%9, add, 1, 1;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]),
        "+f"(d[1][2]), "+f"(d[1][3])
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}
__device__ __forceinline__ void wgmma_e4m3(float (&d)[4][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n .reg .pred add;\n setp.ne.b32 add, %18, 0;\n "
      "wgmma.mma_async.sync.aligned.m64n32k32.f32.e4m3.e4m3 {%0, %1, %2, %3, %4, %5, %6, %7, %8, "
      "%9, %10, %11, %12, %13, %14, %15}, %16, %17, add, 1, 1;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]),
        "+f"(d[1][2]), "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3])
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}
__device__ __forceinline__ void wgmma_e4m3(float (&d)[8][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n .reg .pred add;\n setp.ne.b32 add, %34, 0;\n "
      "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {%0, %1, %2, %3, %4, %5, %6, %7, %8, "
      "%9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, "
      "%27, %28, %29, %30, %31}, %32, %33, add, 1, 1;\n}"
      : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]),
        "+f"(d[1][2]), "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),
        "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]),
        "+f"(d[4][2]), "+f"(d[4][3]), "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),
        "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]), "+f"(d[7][0]), "+f"(d[7][1]),
        "+f"(d[7][2]), "+f"(d[7][3])
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}

}  // namespace octavo::device
