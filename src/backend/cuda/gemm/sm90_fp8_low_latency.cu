// FP8 linear for few tokens: each weight byte is loaded once, by the warp that multiplies it.
// SPDX-License-Identifier: Apache-2.0
//
// Weights are the 64-row side of the product and tokens the narrow one (swap-AB). A thread copies
// the pieces it will itself use into its own slots of shared memory, so that no barrier stands
// between memory and tensor cores; the order of k within 64 codes is permuted alike for both
// operands.
#include <algorithm>
#include <iterator>

#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/wgmma.cuh"
#include "backend/cuda/gemm/low_latency.h"

namespace octavo::cuda {
namespace {

constexpr int kRows = 64;   // weight rows of a tile
constexpr int kStep = 128;  // codes of K of one step
constexpr int kPieces = 4;  // of a thread and step: rows g and g + 8, two chunks
constexpr int kMaxSplit = 8;

__host__ __device__ constexpr int ceil_divide(int a, int b) { return (a + b - 1) / b; }

// The part of K and the tiles that this CTA works on.
struct Work {
  int first_step;  // of K
  int steps;       // of K, in this CTA
  int turns;       // steps of one warpgroup in a tile
  int first_tile, tile_stride, tiles;
};

template <int kGroups>
__device__ __forceinline__ Work plan_work(const LowLatencyGemm& gemm, int split) {
  Work work;
  const int total = ceil_divide(gemm.k, kStep);
  const int share = ceil_divide(total, split);
  work.first_step = blockIdx.x % split * share;
  work.steps = max(0, min(share, total - work.first_step));
  work.turns = ceil_divide(share, kGroups);
  work.first_tile = blockIdx.x / split;
  work.tile_stride = gridDim.x / split;
  const int tiles = ceil_divide(gemm.n, kRows);
  work.tiles = ceil_divide(max(0, tiles - work.first_tile), work.tile_stride);
  return work;
}

// The weights on their way: a ring of steps in the warp's own slots of shared memory. Eight lanes
// copy a whole 128-byte line of a row, each piece into the slot of the lane that will use it.
template <int kGroups>
class WeightStream {
 public:
  static constexpr int kThreads = kGroups * 128;

  __device__ __forceinline__ WeightStream(const LowLatencyGemm& gemm, const Work& work, uint4* ring)
      : gemm_(gemm), work_(work), from_(ring + threadIdx.x) {
    const int lane = threadIdx.x % 32;
    to_ = ring + threadIdx.x / 32 * 32 + lane % 8 / 4 * 2 * kThreads + lane / 8 * 4 + lane % 4;
    set_tile();
  }

  // Requests the next step of the sequence of tiles into `slot`; zeros past the end of K.
  __device__ __forceinline__ void request(int slot) {
    const bool present = tile_ < work_.tiles &&
                         turn_ * kGroups + static_cast<int>(threadIdx.x / 128) < work_.steps &&
                         k_ < gemm_.k;
    uint4* to = to_ + slot * (kPieces * kThreads);
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {  // rows 4 i + lane / 8
      const uint8_t* from = rows_[i] + (present ? k_ : 0);
      device::copy_async_16(to + i / 2 * kThreads + i % 2 * 16, from, present);
    }
    device::commit_copies();
    k_ += kGroups * kStep;
    if (++turn_ == work_.turns) {
      turn_ = 0;
      ++tile_;
      set_tile();
    }
  }

  // Piece 0 and 1: rows g and g + 8 of the first chunk; 2 and 3: of the second.
  __device__ __forceinline__ uint4 take(int slot, int piece) const {
    return from_[(slot * kPieces + piece) * kThreads];
  }

 private:
  __device__ __forceinline__ void set_tile() {
    const int lane = threadIdx.x % 32;
    const int row = (work_.first_tile + tile_ * work_.tile_stride) * kRows +
                    threadIdx.x % 128 / 32 * 16 + lane / 8;
#pragma unroll
    for (int i = 0; i < kPieces;
         ++i)  // rows past the end repeat the last one: their sums are dropped
      rows_[i] = gemm_.weight + min(row + 4 * i, gemm_.n - 1) * gemm_.weight_stride;
    k_ = (work_.first_step + threadIdx.x / 128) * kStep + lane % 8 * 16;
  }

  const LowLatencyGemm& gemm_;
  const Work& work_;
  const uint4* from_;  // own slots
  uint4* to_;          // slots of the lanes that use what this one copies
  const uint8_t* rows_[kPieces];
  int k_;
  int turn_ = 0;
  int tile_ = 0;
};

// Brings the CTA's part of x into the layout of the tensor cores: for each chunk and each word w of
// a piece, matrices of 8 tokens × 16 bytes, word w of pieces 0 … 3. Columns of tokens that do not
// exist keep what was there: no other column depends on them.
template <int kEights, int kThreads>
__device__ __forceinline__ void stage_x(const LowLatencyGemm& gemm, const Work& work, uint32_t* x) {
  for (int i = threadIdx.x; i < work.steps * (kStep / 16); i += kThreads) {
    const int k = work.first_step * kStep + i * 16;
    const uint8_t* from = gemm.x + (k < gemm.k ? k : 0);
    uint32_t* to = x + (i / 4 * 4 * kEights * 8) * 4 + i % 4;
#pragma unroll
    for (int eight = 0; eight < kEights; ++eight) {
      uint4 codes[8];  // of eight tokens, in flight together
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        codes[j] = make_uint4(0, 0, 0, 0);
        if (eight * 8 + j < gemm.m && k < gemm.k)
          codes[j] = *reinterpret_cast<const uint4*>(from + (eight * 8 + j) * gemm.x_stride);
      }
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        uint32_t* words = to + (eight * 8 + j) * 4;
        words[0] = codes[j].x;
        words[kEights * 32] = codes[j].y;
        words[2 * kEights * 32] = codes[j].z;
        words[3 * kEights * 32] = codes[j].w;
      }
    }
  }
  device::fence_shared_for_wgmma();
  __syncthreads();
}

__device__ __forceinline__ void store_output(const LowLatencyGemm& gemm, const float* scales,
                                             int token, int row, float sum) {
  if (row >= gemm.n) return;
  int segment = 0;
  while (row >= gemm.segment_end[segment]) ++segment;
  float value = sum * scales[segment];
  const int64_t at = token * gemm.y_stride + row;
  if (gemm.y_is_float) {
    if (gemm.bias != nullptr) value += static_cast<const float*>(gemm.bias)[row];
    static_cast<float*>(gemm.y)[at] = value;
  } else {
    if (gemm.bias != nullptr)
      value += __bfloat162float(static_cast<const __nv_bfloat16*>(gemm.bias)[row]);
    static_cast<__nv_bfloat16*>(gemm.y)[at] = __float2bfloat16_rn(value);
  }
}

// Sums of one tile: over the CTA's warpgroups, then over the cluster, each in a fixed order.
template <int kGroups, int kEights>
struct TileSum {
  static constexpr int kPitch = kRows + 4;  // spreads a warp's stores over the banks
  float groups[kGroups][8 * kEights][kPitch];
  float cta[8 * kEights * kRows];
  float scales[kLowLatencyMaxSegments];  // input scale × weight scale; of the first of two alone
};

template <int kGroups, int kEights>
__device__ __forceinline__ void finish_tile(const LowLatencyGemm& gemm,
                                            TileSum<kGroups, kEights>& sums, const float* scales,
                                            const float (&sum)[kEights][4], int first_row,
                                            int split) {
  constexpr int kThreads = kGroups * 128;
  const int lane = threadIdx.x % 32;
  auto& own = sums.groups[threadIdx.x / 128];
  const int own_row = threadIdx.x % 128 / 32 * 16 + lane / 4;
#pragma unroll
  for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      own[eight * 8 + lane % 4 * 2 + i % 2][own_row + i / 2 * 8] = sum[eight][i];
  }
  __syncthreads();
  const int outputs = gemm.m * kRows;
  for (int i = threadIdx.x; i < outputs; i += kThreads) {
    float total = 0.0f;
#pragma unroll
    for (int group = 0; group < kGroups; ++group) total += sums.groups[group][i / kRows][i % kRows];
    if (split == 1) {
      store_output(gemm, scales, i / kRows, first_row + i % kRows, total);
    } else {
      sums.cta[i] = total;
    }
  }
  if (split == 1) return;
  device::cluster_sync();
  const int share = outputs / split;  // a multiple of 8: 64 rows over at most 8 CTAs
  const int first = static_cast<int>(device::cluster_rank()) * share;
  for (int i = first + threadIdx.x; i < first + share; i += kThreads) {
    float parts[kMaxSplit];
#pragma unroll
    for (int peer = 0; peer < kMaxSplit; ++peer)
      parts[peer] =
          peer < split ? device::load_from_peer(device::shared_address(&sums.cta[i]), peer) : 0.0f;
    float total = 0.0f;
#pragma unroll
    for (int peer = 0; peer < kMaxSplit; ++peer) total += parts[peer];
    store_output(gemm, scales, i / kRows, first_row + i % kRows, total);
  }
}

// One step of one warpgroup. The tensor cores keep about 13 bits of a running sum, so each step of
// 128 codes starts from zero and is added in fp32.
template <int kGroups, int kEights>
__device__ __forceinline__ void multiply_step(float (&sum)[kEights][4],
                                              const WeightStream<kGroups>& weights, int slot,
                                              uint32_t x) {
  constexpr int kMatrices = kEights * 128;  // bytes of the matrices of one word
  uint32_t a[kStep / 32][4];
#pragma unroll
  for (int chunk = 0; chunk < 2; ++chunk) {
    const uint4 low = weights.take(slot, 2 * chunk);
    const uint4 high = weights.take(slot, 2 * chunk + 1);
    a[2 * chunk][0] = low.x, a[2 * chunk][1] = high.x;
    a[2 * chunk][2] = low.y, a[2 * chunk][3] = high.y;
    a[2 * chunk + 1][0] = low.z, a[2 * chunk + 1][1] = high.z;
    a[2 * chunk + 1][2] = low.w, a[2 * chunk + 1][3] = high.w;
  }
  float part[kEights][4];
  device::wgmma_fence();
#pragma unroll
  for (int i = 0; i < kStep / 32; ++i)
    device::wgmma_e4m3(part, a[i], device::wgmma_descriptor(x + 2 * i * kMatrices, kMatrices, 128),
                       /*add=*/i > 0);
  device::wgmma_commit();
  device::wgmma_wait();
#pragma unroll
  for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[eight][i] += part[eight][i];
  }
}

template <int kGroups, int kEights, int kDepth>
__global__ void __launch_bounds__(kGroups * 128)
    low_latency_kernel(const __grid_constant__ LowLatencyGemm gemm, int split) {
  using Sums = TileSum<kGroups, kEights>;
  constexpr int kThreads = kGroups * 128;
  extern __shared__ uint4 shared[];
  Sums* sums = reinterpret_cast<Sums*>(shared);  // two, used in turn
  uint4* ring = shared + 2 * sizeof(Sums) / 16;
  uint4* x = ring + kDepth * kPieces * kThreads;
  device::launch_dependents();
  const Work work = plan_work<kGroups>(gemm, split);
  WeightStream<kGroups> weights(gemm, work, ring);
#pragma unroll 1
  for (int slot = 0; slot < kDepth; ++slot) weights.request(slot);
  if (threadIdx.x < gemm.segments)  // scales are weights: they wait for nothing
    sums[0].scales[threadIdx.x] = *gemm.input_scale * gemm.weight_scale[threadIdx.x];
  device::wait_for_dependencies();
  stage_x<kEights, kThreads>(gemm, work, reinterpret_cast<uint32_t*>(x));

  constexpr int kStepBytes = 2 * 4 * kEights * 128;  // of x
  const uint32_t own_x = device::shared_address(x) + threadIdx.x / 128 * kStepBytes;
  int slot = 0;
#pragma unroll 1
  for (int tile = 0; tile < work.tiles; ++tile) {
    float sum[kEights][4] = {};
#pragma unroll 1
    for (int turn = 0; turn < work.turns; ++turn) {
      device::wait_for_copies<kDepth - 1>();
      __syncwarp();  // what the other lanes copied is there
      if (turn * kGroups + static_cast<int>(threadIdx.x / 128) < work.steps)
        multiply_step<kGroups, kEights>(sum, weights, slot, own_x + turn * kGroups * kStepBytes);
      __syncwarp();  // the slot is read
      weights.request(slot);
      if (++slot == kDepth) slot = 0;
    }
    finish_tile<kGroups, kEights>(gemm, sums[tile % 2], sums[0].scales, sum,
                                  (work.first_tile + tile * work.tile_stride) * kRows, split);
  }
  if (split > 1) device::cluster_sync();  // a peer may still read this CTA's sums
}

int eights_for(int m) { return m <= 8 ? 1 : m <= 16 ? 2 : 4; }

template <int kGroups, int kEights, int kDepth>
void launch_shape(const LowLatencyGemm& gemm, const LowLatencyConfig& config, const Launch& where,
                  int multiprocessors) {
  const auto kernel = low_latency_kernel<kGroups, kEights, kDepth>;
  const int tiles = ceil_divide(gemm.n, kRows);
  const int most = std::max(1, multiprocessors * config.ctas_per_sm / config.split);
  Grid grid;
  grid.threads = kGroups * 128;
  grid.cluster = config.split;
  grid.blocks = dim3(static_cast<unsigned>(std::min(tiles, most) * config.split));
  grid.shared_bytes = low_latency_shared_bytes(gemm, config);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, gemm, config.split);
}

// Calls the instantiation of kLowLatencyShapes[kIndex …] that `config` names.
template <size_t kIndex = 0>
void dispatch_shape(const LowLatencyGemm& gemm, const LowLatencyConfig& config, const Launch& where,
                    int multiprocessors) {
  if constexpr (kIndex < std::size(kLowLatencyShapes)) {
    constexpr LowLatencyConfig kShape = kLowLatencyShapes[kIndex];
    constexpr int kGroups = kShape.warpgroups;
    if (kGroups != config.warpgroups || kShape.depth != config.depth)
      return dispatch_shape<kIndex + 1>(gemm, config, where, multiprocessors);
    const int eights = eights_for(gemm.m);
    if (eights == 1)
      return launch_shape<kGroups, 1, kShape.depth>(gemm, config, where, multiprocessors);
    if (eights == 2)
      return launch_shape<kGroups, 2, kShape.depth>(gemm, config, where, multiprocessors);
    launch_shape<kGroups, 4, kShape.depth>(gemm, config, where, multiprocessors);
  } else {
    throw_cuda_error(cudaErrorInvalidConfiguration, "low latency GEMM configuration");
  }
}

}  // namespace

int low_latency_shared_bytes(const LowLatencyGemm& gemm, const LowLatencyConfig& config) {
  const int tokens = 8 * eights_for(gemm.m);
  const int sums =
      2 * 4 * (tokens * (config.warpgroups * (kRows + 4) + kRows) + kLowLatencyMaxSegments);
  const int ring = config.depth * config.warpgroups * kRows * kStep;
  const int share = ceil_divide(ceil_divide(gemm.k, kStep), config.split);
  return sums + ring + share * kStep * tokens;
}

namespace {

bool fits(int m, int k, const LowLatencyConfig& config) {
  LowLatencyGemm gemm = {};
  gemm.m = m;
  gemm.k = k;
  return low_latency_shared_bytes(gemm, config) <= kLowLatencySharedBytes;
}

// Needs the least shared memory: the last resort.
constexpr LowLatencyConfig kSmallest = {
    .warpgroups = 1, .depth = 6, .split = kMaxSplit, .ctas_per_sm = 1};

}  // namespace

bool low_latency_fits(int m, int k) { return fits(m, k, kSmallest); }

LowLatencyConfig low_latency_config(int m, int n, int k, int multiprocessors) {
  LowLatencyConfig config = {.warpgroups = 4, .depth = 3, .split = 1, .ctas_per_sm = 1};
  const int tiles = ceil_divide(n, kRows);
  while (config.split < kMaxSplit && tiles * config.split * 4 < 3 * multiprocessors &&
         k / config.split >= 1024)
    config.split *= 2;
  if (m > 16) {  // x and the sums take most of the memory, and staging x most of the time
    config.warpgroups = 2;
    config.depth = 4;
    while (config.split < kMaxSplit && k / config.split > 4096) config.split *= 2;
  }
  while (config.split < kMaxSplit && !fits(m, k, config)) config.split *= 2;
  return fits(m, k, config) ? config : kSmallest;
}

void launch_low_latency(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                        const Launch& where) {
  int device = 0;
  int multiprocessors = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&device));
  OCTAVO_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  dispatch_shape(gemm, config, where, multiprocessors);
}

}  // namespace octavo::cuda
