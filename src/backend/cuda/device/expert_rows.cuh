// Which expert a row belongs to, and tiles of experts' rows by number; for host and device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector_types.h>  // __host__ and __device__, for C++ compilers too

#include <cstdint>

namespace octavo::device {

// Expert e has the rows [offsets[e], offsets[e + 1]), which may be none; -1: the row is nobody's.
__host__ __device__ inline int expert_of_row(const int32_t* offsets, int experts, int64_t row) {
  if (row < offsets[0] || row >= offsets[experts]) return -1;
  int low = 0, high = experts;  // offsets[low] <= row < offsets[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (row < offsets[middle]) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return low;
}

// Tiles are numbered expert by expert; how many an expert has depends on its rows alone, and
// without rows it has none. A walk asks for tiles by rising numbers.
struct ExpertWalk {
  const int32_t* offsets;  // [experts + 1]
  int experts;
  int expert = 0;  // of the tile that was found
  int first = 0;   // the number of this expert's first tile

  __host__ __device__ int begin() const { return offsets[expert]; }
  __host__ __device__ int end() const { return offsets[expert + 1]; }
  __host__ __device__ int rows() const { return end() - begin(); }

  // Moves to the expert whose tile it is; false: there are fewer tiles. tiles_of(rows) is 0 for 0.
  template <typename TilesOf>
  __host__ __device__ bool find(int tile, const TilesOf& tiles_of) {
    for (; expert < experts; ++expert) {
      const int tiles = tiles_of(rows());
      if (tile < first + tiles) return true;
      first += tiles;
    }
    return false;
  }
};

}  // namespace octavo::device
