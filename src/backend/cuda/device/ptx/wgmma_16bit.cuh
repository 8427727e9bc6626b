// Warpgroup matrix products of attention (sm_90a), operands in the 128-byte swizzle.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "backend/cuda/device/ptx/memory.cuh"

namespace octavo::device {

// Rows of kColumns 16-bit elements as the tensor cores read them: 64 columns are a line of 128
// bytes whose eight 16-byte pieces are permuted by the row.
template <int kRows, int kColumns>
struct alignas(1024) SwizzledTile {
  static constexpr int kPartBytes = kRows * 128;  // from 64 columns to the next
  uint4 pieces[kColumns / 64][kRows][8];

  __device__ __forceinline__ uint4& at(int row, int piece) {
    return pieces[piece / 8][row][piece % 8 ^ row % 8];
  }
};

// Where an operand starts. k innermost: `part_bytes` is not used. k down the rows: rows are 64
// columns, `part_bytes` from those to the next.
__device__ __forceinline__ uint64_t swizzled_descriptor(uint32_t shared, int part_bytes) {
  constexpr uint64_t kEightRows = 1024 >> 4;
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  return static_cast<uint64_t>((shared & 0x3FFFFu) >> 4) |
         static_cast<uint64_t>(part_bytes >> 4) << 16 | kEightRows << 32 | kSwizzle128;
}

// The same operand `bytes` further on.
__device__ __forceinline__ uint64_t advance(uint64_t descriptor, int bytes) {
  return descriptor + (bytes >> 4);
}

template <int kPending>
__device__ __forceinline__ void wgmma_wait_until() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Keeps the compiler from moving work on these registers across the point: asynchronous products
// write them behind its back.
template <int N>
__device__ __forceinline__ void pin(float (&values)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; ++i) {
#pragma unroll
    for (float& value : values[i]) asm volatile("" : "+f"(value));
  }
}

// Keeps the compiler from moving what `value` is made of behind this point, or what follows before
// it: a loop, which never repeats as the value is never below zero. No empty asm achieves that. A
// branch around products or their wait would, but the warps of a warpgroup must go the same way.
__device__ __forceinline__ void hold_until(float value) {
  while (__any_sync(0xFFFFFFFFu, value < 0.0f)) __nanosleep(20);
}

#define OCTAVO_D4(d, i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define OCTAVO_D16(d, i) \
  OCTAVO_D4(d, i), OCTAVO_D4(d, i + 1), OCTAVO_D4(d, i + 2), OCTAVO_D4(d, i + 3)
#define OCTAVO_D32(d) OCTAVO_D16(d, 0), OCTAVO_D16(d, 4)
#define OCTAVO_D64(d) OCTAVO_D32(d), OCTAVO_D16(d, 8), OCTAVO_D16(d, 12)
#define OCTAVO_R32                                                                             \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
  "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define OCTAVO_R64                                                                               \
  OCTAVO_R32                                                                                     \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, " \
  "%50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// The products of one 16-bit type, 64 rows of a warpgroup. Of the 16 rows of its warp a thread
// (g, t) holds, as in mma.cuh: of a, rows g and g + 8 at k = 2t, 2t + 1 (a[0], a[1]) and 2t + 8,
// 2t + 9 (a[2], a[3]); of d, for each eight columns, rows g (d[0], d[1]) and g + 8 (d[2], d[3]).
//   scores:  d[64, 128] (+)= a[64, 16] · b[128, 16]ᵀ, both from shared memory
//   weigh:   d[64, 128 or 64] += a[64, 16] · b[16, 128 or 64], a from registers
//   rows:    d[64, 128] (+)= a[64, 16] · b[128, 16]ᵀ, a from registers
template <typename Element>
struct Wgmma;

#define OCTAVO_WGMMA(Element, type)                                                          \
  template <>                                                                                \
  struct Wgmma<Element> {                                                                    \
    __device__ __forceinline__ static void scores(float (&d)[16][4], uint64_t a, uint64_t b, \
                                                  bool add) {                                \
      asm volatile(                                                                          \
          "{\n .reg .pred add;\n setp.ne.b32 add, %66, 0;\n"                                 \
          " wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" OCTAVO_R64      \
          "}, %64, %65, add, 1, 1, 0, 0;\n}"                                                 \
          : OCTAVO_D64(d)                                                                    \
          : "l"(a), "l"(b), "r"(static_cast<int>(add)));                                     \
    }                                                                                        \
    __device__ __forceinline__ static void rows(float (&d)[16][4], const uint32_t (&a)[4],   \
                                                uint64_t b, bool add) {                      \
      asm volatile(                                                                          \
          "{\n .reg .pred add;\n setp.ne.b32 add, %69, 0;\n"                                 \
          " wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" OCTAVO_R64      \
          "}, {%64, %65, %66, %67}, %68, add, 1, 1, 0;\n}"                                   \
          : OCTAVO_D64(d)                                                                    \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add))); \
    }                                                                                        \
    __device__ __forceinline__ static void weigh(float (&d)[16][4], const uint32_t (&a)[4],  \
                                                 uint64_t b) {                               \
      asm volatile(                                                                          \
          "{\n .reg .pred add;\n setp.eq.b32 add, 0, 0;\n"                                   \
          " wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" OCTAVO_R64      \
          "}, {%64, %65, %66, %67}, %68, add, 1, 1, 1;\n}"                                   \
          : OCTAVO_D64(d)                                                                    \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                             \
    }                                                                                        \
    __device__ __forceinline__ static void weigh(float (&d)[8][4], const uint32_t (&a)[4],   \
                                                 uint64_t b) {                               \
      asm volatile(                                                                          \
          "{\n .reg .pred add;\n setp.eq.b32 add, 0, 0;\n"                                   \
          " wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {" OCTAVO_R32       \
          "}, {%32, %33, %34, %35}, %36, add, 1, 1, 1;\n}"                                   \
          : OCTAVO_D32(d)                                                                    \
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                             \
    }                                                                                        \
  }

OCTAVO_WGMMA(__half, "f16");
OCTAVO_WGMMA(__nv_bfloat16, "bf16");

// d[64, 128] (+)= a[64, 32] · b[128, 32]ᵀ of E4M3 codes, both from shared memory.
__device__ __forceinline__ void wgmma_e4m3_scores(float (&d)[16][4], uint64_t a, uint64_t b,
                                                  bool add) {
  asm volatile(
      "{\n .reg .pred add;\n setp.ne.b32 add, %66, 0;\n"
      " wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" OCTAVO_R64
      "}, %64, %65, add, 1, 1;\n}"
      : OCTAVO_D64(d)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)));
}

#undef OCTAVO_WGMMA
#undef OCTAVO_R64
#undef OCTAVO_R32
#undef OCTAVO_D64
#undef OCTAVO_D32
#undef OCTAVO_D16
#undef OCTAVO_D4

}  // namespace octavo::device
