// Copies between global and shared memory that a barrier in shared memory counts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include <cstdint>
#include <vector>

namespace octavo::emulator {

// Box of a tensor map at these coordinates, innermost first; to the CTAs of `mask` at the same
// place, each with its own barrier there, or where `mask` is 0 to the address itself.
void load_box(const CUtensorMap& map, std::vector<int> at, uint32_t shared, uint32_t barrier,
              uint16_t mask);
void load_bytes(const void* global, int bytes, uint32_t shared, uint32_t barrier);
void store_box(const CUtensorMap& map, std::vector<int> at, uint32_t shared);

// cuTensorMapEncodeTiled of the emulated driver: the same conditions, a map of its own form.
CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                           void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                           const cuuint32_t* box, const cuuint32_t* element_strides,
                           CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                           CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill);

}  // namespace octavo::emulator
