// Tensor maps: how the tensor memory accelerator sees device memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>

#include <cstdint>

namespace octavo::cuda {

// A tensor of `rank` dimensions, innermost first, and the box of it that one copy moves. The
// address and the strides are multiples of 16 bytes, but for a dimension of one; a box has at most
// 256 elements a dimension.
struct TensorMapSpec {
  const void* data = nullptr;
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  int rank = 2;
  uint64_t sizes[5] = {};
  uint64_t strides[4] = {};  // bytes, of dimensions 1, 2, …
  uint32_t box[5] = {};
  // With 128-byte swizzling a box is at most 128 bytes wide and its place in shared memory is
  // aligned to 1 KiB.
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
};

// Throws Error(kDevice) where the driver refuses it. Needs no current device.
CUtensorMap make_tensor_map(const TensorMapSpec& spec);

}  // namespace octavo::cuda
