// Warp-wide matrix multiply-accumulate, m16n8k16, fp32 accumulators.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

// d += a · bᵀ. With g = lane / 4 and t = lane % 4 a thread holds, of a: rows g and g + 8 at k = 2t,
// 2t + 1 (a[0], a[1]) and k = 2t + 8, 2t + 9 (a[2], a[3]); of b: column g at the same k; of d: rows
// g (d[0], d[1]) and g + 8 (d[2], d[3]) at columns 2t, 2t + 1.
__device__ __forceinline__ void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                        uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 × 8 tiles of 16-bit elements; lane l gives the shared address of row l % 8 of tile l / 8.
// Thread (g, t) gets elements 2t, 2t + 1 of row g of each, or of column g where transposed.
__device__ __forceinline__ void load_tiles(uint32_t (&tiles)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_tiles_transposed(uint32_t (&tiles)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles[0]), "=r"(tiles[1]), "=r"(tiles[2]), "=r"(tiles[3])
               : "r"(address)
               : "memory");
}

// The inverse of load_tiles.
__device__ __forceinline__ void store_tiles(uint32_t address, uint32_t t0, uint32_t t1, uint32_t t2,
                                            uint32_t t3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(t0), "r"(t1), "r"(t2), "r"(t3)
               : "memory");
}

}  // namespace octavo::device
