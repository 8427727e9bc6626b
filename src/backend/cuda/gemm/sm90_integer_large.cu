// Linear on integer codes for many tokens: codes decoded in registers on their way into wgmma.
// SPDX-License-Identifier: Apache-2.0
//
// A CTA makes tiles of 128 or 256 weight rows × 128 tokens, one after the other. One warp loads;
// two warpgroups take half of the rows each: they read codes from shared memory, make bfloat16 of
// them, which is exact, and multiply them from registers with tokens in shared memory, while the
// codes of the next 16 columns are decoded. 4-bit codes have a scale for each 128 columns: such a
// part is summed apart, scaled and added.
#include <algorithm>
#include <utility>

#include "backend/cuda/device/decode_integer.cuh"
#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/ptx/wgmma.cuh"
#include "backend/cuda/device/ptx/wgmma_16bit.cuh"
#include "backend/cuda/gemm/integer_large.h"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda {
namespace {

constexpr int kGroups = 2;
constexpr int kConsumers = kGroups * 128;
constexpr int kThreads = kConsumers + 128;
constexpr int kProducerRegisters = 24;
constexpr int kConsumerRegisters = 240;
constexpr int kTokens = 128;
constexpr int kStep = 128;  // columns of K of a stage
constexpr int kProducts = kStep / 16;
constexpr int kLine = 64;  // elements of x in 128 bytes
constexpr int kLineBytes = 128;
constexpr int kBandTokens = 2048;  // tiles of these are worked on together: x stays in L2
constexpr int kSharedBytes = 227 * 1024;

// The shape of a tile: kBlocks × 64 rows of a warpgroup.
template <bool kFour, int kBlocksOfGroup>
struct Cut {
  static constexpr bool kFourBits = kFour;
  static constexpr int kBlocks = kBlocksOfGroup;
  static constexpr int kRows = kGroups * kBlocks * 64;
  static constexpr int kRowsOfStored = kFour ? 2 : 1;
  static constexpr int kStored = kRows / kRowsOfStored;
  static constexpr int kXBytes = kTokens * kStep * 2;
  static constexpr int kStageBytes = kXBytes + kStored * kStep;
  static constexpr int kDepth = std::min((kSharedBytes - 1024) / kStageBytes, 6);
};

// Shared memory; it starts on a multiple of 1 KiB.
template <typename Cut>
struct Shared {
  uint8_t x[Cut::kDepth][Cut::kXBytes];  // two lines of 128 tokens each
  uint8_t codes[Cut::kDepth][Cut::kStored * kStep];
  uint64_t full[Cut::kDepth], empty[Cut::kDepth];
};

struct Tiles {
  int token_tiles, row_tiles;
  int band;  // token tiles that are worked on together
  int stages;

  __device__ int count() const { return token_tiles * row_tiles; }
};

struct Tile {
  int token, row;  // first
};

// The `index`-th tile: down a band of tokens first, then along the weights.
template <typename Cut>
__device__ __forceinline__ Tile tile_at(const Tiles& tiles, int index) {
  const int first = index / (tiles.band * tiles.row_tiles) * tiles.band;
  const int height = min(tiles.band, tiles.token_tiles - first);
  const int within = index - first * tiles.row_tiles;
  return {(first + within % height) * kTokens, within / height * Cut::kRows};
}

template <typename Cut>
struct Producer {
  const Tiles& tiles;
  Shared<Cut>& shared;
  const CUtensorMap* x_map;
  const CUtensorMap* weight_map;

  __device__ __forceinline__ uint32_t full(int slot) const {
    return device::shared_address(&shared.full[slot]);
  }
  __device__ __forceinline__ void load_x(const Tile& tile, int stage, int slot) const {
    const uint32_t to = device::shared_address(shared.x[slot]);
    for (int line = 0; line < 2; ++line)
      device::tma_load(to + line * kTokens * kLineBytes, x_map, full(slot),
                       stage * kStep + line * kLine, tile.token);
  }
  __device__ __forceinline__ void load_codes(const Tile& tile, int stage, int slot) const {
    device::arrive_expecting(full(slot), Cut::kStageBytes);
    device::tma_load(device::shared_address(shared.codes[slot]), weight_map, full(slot),
                     stage * kStep, tile.row / Cut::kRowsOfStored);
  }

  // Weights do not depend on the grids before: the ring is filled with them ahead of x.
  __device__ void run() const {
    const int ctas = static_cast<int>(gridDim.x);
    int index = static_cast<int>(blockIdx.x);
    const int ahead = min(Cut::kDepth, tiles.stages);
    Tile tile = tile_at<Cut>(tiles, index);
    for (int stage = 0; stage < ahead; ++stage) load_codes(tile, stage, stage);
    device::wait_for_dependencies();
    for (int stage = 0; stage < ahead; ++stage) load_x(tile, stage, stage);
    device::RingPosition at = {ahead % Cut::kDepth, ahead / Cut::kDepth};
    for (int stage = ahead; index < tiles.count(); index += ctas, stage = 0) {
      tile = tile_at<Cut>(tiles, index);
      if (index + ctas >= tiles.count()) device::launch_dependents();
      for (; stage < tiles.stages; ++stage, at.advance(Cut::kDepth)) {
        device::wait_barrier(device::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
        load_codes(tile, stage, at.slot);
        load_x(tile, stage, at.slot);
      }
    }
  }
};

template <typename Cut>
class Consumer {
 public:
  __device__ __forceinline__ Consumer(const IntegerGemm& gemm, const Tiles& tiles,
                                      Shared<Cut>& shared)
      : gemm_(gemm),
        tiles_(tiles),
        shared_(shared),
        g_(static_cast<int>(threadIdx.x) % 32 / 4),
        t_(static_cast<int>(threadIdx.x) % 4),
        first_row_(static_cast<int>(threadIdx.x) / 128 * Cut::kBlocks * 64 +
                   static_cast<int>(threadIdx.x) % 128 / 32 * 16) {
#pragma unroll
    for (int high = 0; high < kCodeRows; ++high) {
      const int row = Cut::kFourBits ? first_row_ / 2 + g_
                                     : first_row_ + device::neighbour_row(false, g_, high);
      row_bytes_[high] = row * kStep;
      within_[high] = device::wgmma_offset(row, t_, 0, 0);
    }
  }

  __device__ void run() {
    device::wait_for_dependencies();
    device::RingPosition at;
#pragma unroll 1
    for (int index = static_cast<int>(blockIdx.x); index < tiles_.count();
         index += static_cast<int>(gridDim.x)) {
      const Tile tile = tile_at<Cut>(tiles_, index);
      const Terms terms = terms_of(tile);
      Sums sums;
      if constexpr (Cut::kFourBits) {
        sum_parts(sums, tile, at);
      } else {
        sum(sums, at);
      }
      if (tile.token + kTokens <= gemm_.shape.m) {
        store<true>(sums, terms, tile);
      } else {
        store<false>(sums, terms, tile);
      }
    }
  }

 private:
  using Block = float[kTokens / 8][4];
  using Sums = Block[Cut::kBlocks];
  static constexpr int kCodeRows = Cut::kFourBits ? 1 : 2;  // stored rows of a thread in a block

  // Codes of one product as they are stored: of each stored row those at k = 2t and at k = 2t + 8.
  struct Raw {
    uint32_t bytes[2][2];
  };

  __device__ __forceinline__ Raw load(uint32_t codes, int block, int product) const {
    Raw raw = {};
#pragma unroll
    for (int high = 0; high < kCodeRows; ++high) {
      const uint32_t from = codes + row_bytes_[high] + block * (64 / Cut::kRowsOfStored) * kStep +
                            (within_[high] ^ (product << 4));
      raw.bytes[high][0] = device::load_shared_2(from);
      raw.bytes[high][1] = device::load_shared_2(from + 8);
    }
    return raw;
  }

  __device__ __forceinline__ static void decode(uint32_t (&a)[4], const Raw& raw) {
    device::decode_halves<Cut::kFourBits>(a, raw.bytes[0], raw.bytes[1]);
  }

  // x of a product in a stage.
  __device__ __forceinline__ static uint64_t x_of(uint64_t x, int product) {
    return device::advance(x, product / 4 * kTokens * kLineBytes) +
           product % 4 * device::kSwizzledStep;
  }

  __device__ __forceinline__ void release(int slot) const {
    __syncwarp();
    if (threadIdx.x % 32 == 0) device::arrive(device::shared_address(&shared_.empty[slot]));
  }

  __device__ __forceinline__ void wait_for(const device::RingPosition& at) const {
    device::wait_barrier(device::shared_address(&shared_.full[at.slot]), at.parity);
  }
  __device__ __forceinline__ uint32_t codes_in(int slot) const {
    return device::shared_address(shared_.codes[slot]);
  }
  __device__ __forceinline__ uint64_t x_in(int slot) const {
    return device::wgmma_descriptor_swizzled(device::shared_address(shared_.x[slot]));
  }

  // Codes of the product after `product` of a stage: of the next stage's first behind the last.
  // Accesses of shared memory queue behind the products that were issued before them, so that codes
  // are loaded a product ahead.
  template <typename Load>
  __device__ __forceinline__ void load_next(const device::RingPosition& at, bool last_stage,
                                            bool last_product, const Load& load_from) const {
    if (!last_product) return load_from(codes_in(at.slot));
    if (last_stage) return;
    device::RingPosition next = at;
    next.advance(Cut::kDepth);
    wait_for(next);
    load_from(codes_in(next.slot));
  }

  // 8-bit codes. While a product runs, the next one's codes are decoded into the other registers.
  // At the end of a stage all are waited for: the compiler follows registers no further.
  __device__ __forceinline__ void sum(Sums& sums, device::RingPosition& at) const {
    Raw raw[Cut::kBlocks];
    wait_for(at);
#pragma unroll
    for (int block = 0; block < Cut::kBlocks; ++block)
      raw[block] = load(codes_in(at.slot), block, 0);
#pragma unroll 1
    for (int stage = 0; stage < tiles_.stages; ++stage) {
      const uint64_t x = x_in(at.slot);
      uint32_t a[2][Cut::kBlocks][4];
#pragma unroll
      for (int product = 0; product < kProducts; ++product) {
#pragma unroll
        for (int block = 0; block < Cut::kBlocks; ++block)
          decode(a[product % 2][block], raw[block]);
        load_next(at, stage == tiles_.stages - 1, product == kProducts - 1, [&](uint32_t codes) {
#pragma unroll
          for (int block = 0; block < Cut::kBlocks; ++block)
            raw[block] = load(codes, block, (product + 1) % kProducts);
        });
        device::wgmma_fence();
#pragma unroll
        for (int block = 0; block < Cut::kBlocks; ++block)
          device::Wgmma<__nv_bfloat16>::rows(sums[block], a[product % 2][block], x_of(x, product),
                                             stage + product > 0);
        device::wgmma_commit();
        device::wgmma_wait_until<1>();
      }
      device::wgmma_wait_until<0>();
#pragma unroll
      for (int block = 0; block < Cut::kBlocks; ++block) device::pin(sums[block]);
      release(at.slot);
      at.advance(Cut::kDepth);
    }
  }

  // 4-bit codes: the sum of a stage, which is a group of columns, is scaled and added.
  __device__ __forceinline__ void sum_parts(Sums& sums, const Tile& tile,
                                            device::RingPosition& at) const {
    float scales[Cut::kBlocks][2];
    load_scales(scales, tile, 0);
    clear(sums);
    wait_for(at);
    Raw raw = load(codes_in(at.slot), 0, 0);
#pragma unroll 1
    for (int stage = 0; stage < tiles_.stages; ++stage) {
      float next_scales[Cut::kBlocks][2];
      load_scales(next_scales, tile, stage + 1);
#pragma unroll
      for (int block = 0; block < Cut::kBlocks; ++block) {
        Block part;
        multiply_part(part, raw, at, stage == tiles_.stages - 1, block);
        if (block == Cut::kBlocks - 1) release(at.slot);
#pragma unroll
        for (int j = 0; j < kTokens / 8; ++j) {
#pragma unroll
          for (int i = 0; i < 4; ++i)
            sums[block][j][i] = __fmaf_rn(part[j][i], scales[block][i / 2], sums[block][j][i]);
        }
      }
#pragma unroll
      for (int block = 0; block < Cut::kBlocks; ++block) {
        scales[block][0] = next_scales[block][0];
        scales[block][1] = next_scales[block][1];
      }
      at.advance(Cut::kDepth);
    }
  }

  // The products of one block in a stage, unscaled. `raw` has the codes of the first, and then
  // those of what follows.
  __device__ __forceinline__ void multiply_part(Block& part, Raw& raw,
                                                const device::RingPosition& at, bool last_stage,
                                                int block) const {
    const uint64_t x = x_in(at.slot);
    uint32_t a[2][4];
#pragma unroll
    for (int product = 0; product < kProducts; ++product) {
      decode(a[product % 2], raw);
      const int next = block * kProducts + product + 1;
      load_next(at, last_stage, next == Cut::kBlocks * kProducts, [&](uint32_t codes) {
        raw = load(codes, next / kProducts % Cut::kBlocks, next % kProducts);
      });
      device::wgmma_fence();
      device::Wgmma<__nv_bfloat16>::rows(part, a[product % 2], x_of(x, product), product > 0);
      device::wgmma_commit();
      device::wgmma_wait_until<1>();
    }
    device::wgmma_wait_until<0>();
    device::pin(part);
  }

  __device__ __forceinline__ static void clear(Sums& sums) {
#pragma unroll
    for (int block = 0; block < Cut::kBlocks; ++block) {
#pragma unroll
      for (auto& eight : sums[block]) {
        for (float& value : eight) value = 0.0f;
      }
    }
  }

  __device__ __forceinline__ int row_of(const Tile& tile, int block) const {
    return tile.row + first_row_ + block * 64 + 2 * g_;
  }

  // Of the rows that exist: what the others have is not stored. Behind the last group are zeros.
  __device__ __forceinline__ void load_scales(float (&scales)[Cut::kBlocks][2], const Tile& tile,
                                              int stage) const {
    const int group = min(stage, tiles_.stages - 1);
#pragma unroll
    for (int block = 0; block < Cut::kBlocks; ++block) {
#pragma unroll
      for (int high = 0; high < 2; ++high) {
        const int row = min(row_of(tile, block) + high, gemm_.shape.n - 1);
        scales[block][high] = gemm_.scale[row * gemm_.scale_stride + group];
      }
    }
  }

  __device__ __forceinline__ static uint32_t bf16_pair(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }

  // What sums of a thread's neighbouring rows are multiplied by, and what is added.
  struct Terms {
    float scale[Cut::kBlocks][2];
    float bias[Cut::kBlocks][2];
  };

  // Asked for before the products, so that nothing waits for memory behind them.
  __device__ __forceinline__ Terms terms_of(const Tile& tile) const {
    Terms terms = {};
#pragma unroll
    for (int block = 0; block < Cut::kBlocks; ++block) {
#pragma unroll
      for (int high = 0; high < 2; ++high) {
        const int row = min(row_of(tile, block) + high, gemm_.shape.n - 1);
        if (!Cut::kFourBits) terms.scale[block][high] = gemm_.scale[row * gemm_.scale_stride];
        if (gemm_.bias != nullptr)
          terms.bias[block][high] =
              device::to_float(static_cast<const __nv_bfloat16*>(gemm_.bias)[row]);
      }
    }
    return terms;
  }

  __device__ __forceinline__ static float finished(const Terms& terms, int block, int high,
                                                   float sum) {
    if constexpr (Cut::kFourBits) return sum + terms.bias[block][high];
    return __fmaf_rn(sum, terms.scale[block][high], terms.bias[block][high]);
  }

  // Two neighbouring rows of a token are one word. kWhole: all tokens of the tile exist.
  template <bool kWhole>
  __device__ __forceinline__ void store(const Sums& sums, const Terms& terms,
                                        const Tile& tile) const {
    const bool swapped = device::neighbour_row(Cut::kFourBits, g_, 0) % 2 != 0;
#pragma unroll
    for (int block = 0; block < Cut::kBlocks; ++block) {
      const int row = row_of(tile, block);
      if (row >= gemm_.shape.n) continue;
      int token = tile.token + 2 * t_;
      auto* y = static_cast<__nv_bfloat16*>(gemm_.y) + token * gemm_.y_stride + row;
#pragma unroll
      for (int j = 0; j < kTokens / 8; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float low = swapped ? sums[block][j][2 + i] : sums[block][j][i];
          const float high = swapped ? sums[block][j][i] : sums[block][j][2 + i];
          const uint32_t pair =
              bf16_pair(finished(terms, block, 0, low), finished(terms, block, 1, high));
          if (kWhole || token + i < gemm_.shape.m)
            *reinterpret_cast<uint32_t*>(y + i * gemm_.y_stride) = pair;
        }
        token += 8;
        y += 8 * gemm_.y_stride;
      }
    }
  }

  const IntegerGemm& gemm_;
  const Tiles& tiles_;
  Shared<Cut>& shared_;
  const int g_, t_;
  const int first_row_;  // of the warp's sixteen in the first block
  int row_bytes_[kCodeRows];
  uint32_t within_[kCodeRows];
};

template <typename Cut>
__global__ void __launch_bounds__(kThreads, 1)
    integer_large_kernel(const __grid_constant__ IntegerGemm gemm,
                         const __grid_constant__ Tiles tiles,
                         const __grid_constant__ CUtensorMap x_map,
                         const __grid_constant__ CUtensorMap weight_map) {
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<Shared<Cut>*>(memory);
  if (threadIdx.x == kConsumers) {
    for (const CUtensorMap* map : {&x_map, &weight_map}) device::prefetch_tensor_map(map);
    for (int slot = 0; slot < Cut::kDepth; ++slot) {
      device::init_barrier(device::shared_address(&shared.full[slot]), 1);
      device::init_barrier(device::shared_address(&shared.empty[slot]), kConsumers / 32);
    }
    device::publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    device::take_registers<kConsumerRegisters>();
    Consumer<Cut>(gemm, tiles, shared).run();
  } else {
    device::give_up_registers<kProducerRegisters>();
    if (threadIdx.x == kConsumers) Producer<Cut>{tiles, shared, &x_map, &weight_map}.run();
  }
}

CUtensorMap matrix_map(const void* data, CUtensorMapDataType type, int rows, int columns,
                       int64_t stride_bytes, int box_columns, int box_rows) {
  TensorMapSpec spec;
  spec.data = data;
  spec.type = type;
  spec.sizes[0] = static_cast<uint64_t>(columns);
  spec.sizes[1] = static_cast<uint64_t>(rows);
  spec.strides[0] = static_cast<uint64_t>(stride_bytes);
  spec.box[0] = static_cast<uint32_t>(box_columns);
  spec.box[1] = static_cast<uint32_t>(box_rows);
  return make_tensor_map(spec);
}

template <typename Cut>
void launch_cut(const IntegerGemm& gemm, const Launch& where) {
  const auto kernel = integer_large_kernel<Cut>;
  const IntegerShape& shape = gemm.shape;
  int device = 0;
  int multiprocessors = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  OCTAVO_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const Tiles tiles = {.token_tiles = static_cast<int>(blocks_for(shape.m, kTokens)),
                       .row_tiles = static_cast<int>(blocks_for(shape.n, Cut::kRows)),
                       .band = kBandTokens / kTokens,
                       .stages = static_cast<int>(blocks_for(shape.k, kStep))};
  Grid grid;
  grid.threads = kThreads;
  grid.blocks =
      dim3(static_cast<unsigned>(std::min(tiles.token_tiles * tiles.row_tiles, multiprocessors)));
  grid.shared_bytes = static_cast<int>(sizeof(Shared<Cut>));
  static_assert(sizeof(Shared<Cut>) <= kSharedBytes);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, gemm, tiles,
         matrix_map(gemm.x, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, shape.m, shape.k, 2 * gemm.x_stride,
                    kLine, kTokens),
         matrix_map(gemm.weight, CU_TENSOR_MAP_DATA_TYPE_UINT8, shape.n / Cut::kRowsOfStored,
                    shape.k, gemm.weight_stride, kStep, Cut::kStored));
}

template <bool kFourBits>
void launch_codes(const IntegerGemm& gemm, int rows, const Launch& where) {
  if (rows <= 128) return launch_cut<Cut<kFourBits, 1>>(gemm, where);
  launch_cut<Cut<kFourBits, 2>>(gemm, where);
}

}  // namespace

// A tile of 128 rows takes somewhat more than half of the time of one of 256: x is read as often.
int integer_large_rows(const IntegerShape& shape, int multiprocessors) {
  constexpr int kCost[] = {9, 16};
  const auto cost = [&](int blocks) {
    const int64_t tiles = blocks_for(shape.m, kTokens) * blocks_for(shape.n, int64_t{128} * blocks);
    return blocks_for(tiles, multiprocessors) * kCost[blocks - 1];
  };
  return cost(1) < cost(2) ? 128 : 256;
}

void launch_integer_large(const IntegerGemm& gemm, int rows, const Launch& where) {
  if (gemm.shape.four_bits) return launch_codes<true>(gemm, rows, where);
  launch_codes<false>(gemm, rows, where);
}

}  // namespace octavo::cuda
