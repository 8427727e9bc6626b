// Boxes of tensor maps, with the 128-byte swizzle.
// SPDX-License-Identifier: Apache-2.0
#include "tensor_copy.h"

#include <fmt/format.h>

#include <cstring>

#include "machine.h"

namespace octavo::emulator {
namespace {

// What an emulated tensor map holds.
struct Map {
  std::byte* data;
  uint64_t sizes[5];
  uint64_t strides[5];  // bytes; of dimension 0: an element's
  uint32_t box[5];
  int rank;
  bool swizzled;
};
// Sizes and strides fit in 32 bits here, so that a map fits in CUtensorMap.
struct PackedMap {
  uint64_t data;
  uint32_t sizes[5];
  uint64_t strides[4];
  uint16_t box[5];
  uint8_t rank, element_bytes, swizzled;
};
static_assert(sizeof(PackedMap) <= sizeof(CUtensorMap));

int element_bytes(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    default:
      return 0;
  }
}

Map unpack(const CUtensorMap& packed_map) {
  PackedMap packed;
  std::memcpy(&packed, &packed_map, sizeof(packed));
  Map map = {};
  map.data = reinterpret_cast<std::byte*>(packed.data);
  map.rank = packed.rank;
  map.swizzled = packed.swizzled != 0;
  map.strides[0] = packed.element_bytes;
  for (int i = 0; i < map.rank; ++i) {
    map.sizes[i] = packed.sizes[i];
    map.box[i] = packed.box[i];
    if (i > 0) map.strides[i] = packed.strides[i - 1];
  }
  return map;
}

int64_t box_bytes(const Map& map) {
  auto bytes = static_cast<int64_t>(map.strides[0]);
  for (int i = 0; i < map.rank; ++i) bytes *= map.box[i];
  return bytes;
}

// Calls use(offset in the box, address of the element or null where there is none) for each run of
// 16 bytes, or each element of less.
template <typename Use>
void for_each_piece(const Map& map, const std::vector<int>& at, Use use) {
  const auto element = static_cast<int64_t>(map.strides[0]);
  const int64_t bytes = box_bytes(map);
  for (int64_t offset = 0; offset < bytes; offset += element) {
    int64_t rest = offset / element;
    std::byte* address = map.data;
    bool inside = true;
    for (int i = 0; i < map.rank; ++i) {
      const int64_t place = at[static_cast<size_t>(i)] + rest % map.box[i];
      rest /= map.box[i];
      inside = inside && place >= 0 && place < static_cast<int64_t>(map.sizes[i]);
      address += place * static_cast<int64_t>(map.strides[i]);
    }
    use(offset, inside ? address : nullptr);
  }
}

// The 16-byte pieces of a line of 128 bytes are permuted by three higher bits of the address.
uint32_t place_in(const Map& map, uint32_t shared, int64_t offset) {
  const uint32_t address = shared + static_cast<uint32_t>(offset);
  return map.swizzled ? address ^ (address >> 7 & 7) << 4 : address;
}

void check_place(const Map& map, uint32_t shared, size_t coordinates) {
  const uint32_t alignment = map.swizzled ? 1024 : 128;
  if (coordinates != static_cast<size_t>(map.rank) || shared % alignment != 0)
    throw Fault(fmt::format("a box of rank {} with {} coordinates at shared address {:#x}",
                            map.rank, coordinates, shared));
}

void load_into(const Map& map, const std::vector<int>& at, uint32_t shared, uint32_t barrier) {
  std::byte* const base = shared_pointer(shared, static_cast<size_t>(box_bytes(map))) -
                          (shared & 0xFFFFFF);  // of the CTA's shared memory
  MemoryBarrier& counts = barrier_at(barrier);
  later([map, at, shared, base, &counts] {
    for_each_piece(map, at, [&](int64_t offset, const std::byte* from) {
      std::byte* const to = base + (place_in(map, shared, offset) & 0xFFFFFF);
      if (from == nullptr) {
        std::memset(to, 0, map.strides[0]);
      } else {
        std::memcpy(to, from, map.strides[0]);
      }
    });
    counts.add(-static_cast<int32_t>(box_bytes(map)), 0);
  });
}

uint32_t in_cta(uint32_t shared, uint32_t rank) { return (rank + 1) << 24 | (shared & 0xFFFFFF); }

}  // namespace

void load_box(const CUtensorMap& packed, std::vector<int> at, uint32_t shared, uint32_t barrier,
              uint16_t mask) {
  const Map map = unpack(packed);
  check_place(map, shared, at.size());
  if (mask == 0) return load_into(map, at, shared, barrier);
  for (uint32_t rank = 0; rank < 16; ++rank) {
    if ((mask >> rank & 1) != 0) load_into(map, at, in_cta(shared, rank), in_cta(barrier, rank));
  }
}

void load_bytes(const void* global, int bytes, uint32_t shared, uint32_t barrier) {
  if (bytes % 16 != 0 || shared % 16 != 0 || reinterpret_cast<uintptr_t>(global) % 16 != 0)
    throw Fault("a bulk copy that is not in multiples of 16 bytes");
  std::byte* const to = shared_pointer(shared, static_cast<size_t>(bytes));
  MemoryBarrier& counts = barrier_at(barrier);
  later([=, &counts] {
    std::memcpy(to, global, static_cast<size_t>(bytes));
    counts.add(-bytes, 0);
  });
}

void store_box(const CUtensorMap& packed, std::vector<int> at, uint32_t shared) {
  const Map map = unpack(packed);
  check_place(map, shared, at.size());
  const std::byte* const base =
      shared_pointer(shared, static_cast<size_t>(box_bytes(map))) - (shared & 0xFFFFFF);
  thread().stores.open.emplace_back([=] {
    for_each_piece(map, at, [&](int64_t offset, std::byte* to) {
      if (to != nullptr)
        std::memcpy(to, base + (place_in(map, shared, offset) & 0xFFFFFF), map.strides[0]);
    });
  });
}

CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                           void* address, const cuuint64_t* sizes, const cuuint64_t* strides,
                           const cuuint32_t* box, const cuuint32_t*, CUtensorMapInterleave,
                           CUtensorMapSwizzle swizzle, CUtensorMapL2promotion,
                           CUtensorMapFloatOOBfill) {
  const int element = element_bytes(type);
  const bool swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  if (element == 0 || rank < 1 || rank > 5 || reinterpret_cast<uintptr_t>(address) % 16 != 0 ||
      (!swizzled && swizzle != CU_TENSOR_MAP_SWIZZLE_NONE) ||
      box[0] * static_cast<uint32_t>(element) % 16 != 0 ||
      (swizzled && box[0] * static_cast<uint32_t>(element) > 128))
    return CUDA_ERROR_INVALID_VALUE;
  PackedMap packed = {.data = reinterpret_cast<uint64_t>(address),
                      .rank = static_cast<uint8_t>(rank),
                      .element_bytes = static_cast<uint8_t>(element),
                      .swizzled = swizzled};
  for (uint32_t i = 0; i < rank; ++i) {
    if (sizes[i] == 0 || sizes[i] > UINT32_MAX || box[i] == 0 || box[i] > 256 ||
        (i > 0 && (strides[i - 1] % 16 != 0 || strides[i - 1] >= uint64_t{1} << 40)))
      return CUDA_ERROR_INVALID_VALUE;
    packed.sizes[i] = static_cast<uint32_t>(sizes[i]);
    packed.box[i] = static_cast<uint16_t>(box[i]);
    if (i > 0) packed.strides[i - 1] = strides[i - 1];
  }
  std::memset(map, 0, sizeof(*map));
  std::memcpy(map, &packed, sizeof(packed));
  return CUDA_SUCCESS;
}

}  // namespace octavo::emulator
