// FP8 linear for few tokens: TMA streams tiles of weight rows past the tensor cores.
// SPDX-License-Identifier: Apache-2.0
//
// Weights are the 64-row side of the product and tokens the narrow one (swap-AB). A tile may have
// fewer rows than the tensor cores take: what they read past it becomes sums that nobody uses. So
// all multiprocessors get equal shares of whole rows, and where there are rows enough nothing has
// to be added up between CTAs.
#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/ptx/wgmma.cuh"
#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda {
namespace {

constexpr int kConsumers = 256;  // two warpgroups that multiply: even and odd steps
constexpr int kThreads = kConsumers + 32;
constexpr int kTileRows = 64;  // of one product

// What the kernel is told of the cut.
struct Cut {
  LowLatencyConfig config;
  int tile_stride;   // between the tiles of a CTA
  int whole_rounds;  // tiles of every CTA; `more` CTAs have one more
  int more;
  int stages;   // of K, in all
  int share;    // stages of a CTA, at most
  int x_bytes;  // of a stage: x comes first, then the weights
  int stage_bytes;
  int copies;  // of each operand in a stage: a copy moves all steps, or one where K has a tail
  bool programmatic;  // another kernel may still be writing x
};

// Shared memory behind the ring.
template <int kEights, int kTiles>
struct Rest {
  static constexpr int kPitch = kTiles * kTileRows + 4;  // spreads a warp's stores over the banks
  float sums[8 * kEights][kPitch];
  float scales[kLowLatencyMaxSegments];  // input scale × weight scale
  uint64_t full[kLowLatencyMaxDepth], empty[kLowLatencyMaxDepth];
};

// The CTA's part of the work.
struct Work {
  int first_tile, tiles, first_stage, stages;

  __device__ __forceinline__ explicit Work(const Cut& cut) {
    first_tile = blockIdx.y;
    tiles = cut.whole_rounds + (first_tile < cut.more ? 1 : 0);
    first_stage = blockIdx.x * cut.share;
    stages = max(0, min(cut.share, cut.stages - first_stage));
  }
};

// The one thread that asks for loads, in the order of their use. A copy costs this thread some 150
// cycles however small it is. Two cursors walk over the CTA's stages: weights, and x.
class Producer {
 public:
  __device__ __forceinline__ Producer(const Cut& cut, const CUtensorMap* x,
                                      const CUtensorMap* weight, uint32_t ring, uint32_t full,
                                      uint32_t empty)
      : cut_(cut),
        work_(cut),
        x_map_(x),
        weight_map_(weight),
        ring_(ring),
        full_(full),
        empty_(empty),
        total_(work_.tiles * work_.stages),
        ahead_(min(cut.config.depth, total_)) {}

  // Fills the ring as far as need not wait for the kernel before this one: with weights.
  __device__ __forceinline__ void fill() {
    for (int slot = 0; slot < ahead_; ++slot) {
      load_weight(slot);
      if (!cut_.programmatic) load_x(slot);
    }
  }

  // The next kernel is let in one ring before the end: its loads shall follow on these ones, and
  // sooner they would compete with them.
  __device__ __forceinline__ void run() {
    const int last_ring = total_ - cut_.config.depth;
    if (last_ring <= ahead_) device::launch_dependents();
    device::wait_for_dependencies();
    if (cut_.programmatic) {
      for (int slot = 0; slot < ahead_; ++slot) load_x(slot);
    }
    device::RingPosition at;
    for (int i = ahead_; i < total_; ++i, at.advance(cut_.config.depth)) {
      device::wait_barrier(empty_ + 8 * at.slot, at.parity);
      load_weight(at.slot);
      load_x(at.slot);
      if (i == last_ring) device::launch_dependents();
    }
  }

 private:
  struct Cursor {
    int tile = 0, stage = 0;
  };

  __device__ __forceinline__ void load(const CUtensorMap* map, uint32_t to, int bytes, int slot,
                                       int row, Cursor& cursor, device::L2Policy policy) const {
    const int step = (work_.first_stage + cursor.stage) * cut_.config.steps;
    const uint32_t barrier = full_ + 8 * slot;
    if (cut_.copies == 1) {
      device::tma_load(to, map, barrier, 0, row, step, policy);
    } else {
      for (int i = 0; i < cut_.copies; ++i)
        device::tma_load(to + i * (bytes / cut_.copies), map, barrier, (step + i) * kLowLatencyStep,
                         row, 0, policy);
    }
    if (++cursor.stage < work_.stages) return;
    cursor.stage = 0;
    ++cursor.tile;
  }
  __device__ __forceinline__ void load_weight(int slot) {
    const int tile = work_.first_tile + weight_.tile * cut_.tile_stride;
    device::arrive_expecting(full_ + 8 * slot, cut_.stage_bytes);
    load(weight_map_, ring_ + slot * cut_.stage_bytes + cut_.x_bytes,
         cut_.stage_bytes - cut_.x_bytes, slot, tile * cut_.config.rows, weight_,
         device::L2Policy::kEvictFirst);
  }
  __device__ __forceinline__ void load_x(int slot) {
    load(x_map_, ring_ + slot * cut_.stage_bytes, cut_.x_bytes, slot, 0, x_,
         device::L2Policy::kEvictNormal);
  }

  const Cut& cut_;
  const Work work_;
  const CUtensorMap *x_map_, *weight_map_;
  const uint32_t ring_, full_, empty_;
  const int total_, ahead_;
  Cursor weight_, x_;
};

// sum += kSteps steps, which lie two apart in the stage. The tensor cores keep about 13 bits of a
// running sum, so each step of 128 codes starts from zero and is added in fp32.
template <int kSteps, int kEights, int kTiles>
__device__ __forceinline__ void multiply_steps(float (&sum)[kTiles][kEights][4], uint32_t weight,
                                               int weight_bytes, uint32_t x) {
  constexpr int kXBytes = 8 * kEights * kLowLatencyStep;
  constexpr uint64_t kNextTile = kTileRows * kLowLatencyStep >> 4;
  float part[kSteps][kTiles][kEights][4];
  device::wgmma_fence();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const uint64_t a = device::wgmma_descriptor_swizzled(weight + 2 * step * weight_bytes);
    const uint64_t b = device::wgmma_descriptor_swizzled(x + 2 * step * kXBytes);
#pragma unroll
    for (int i = 0; i < kLowLatencyStep / 32; ++i) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile)
        device::wgmma_e4m3(part[step][tile], a + tile * kNextTile + i * device::kSwizzledStep,
                           b + i * device::kSwizzledStep, /*add=*/i > 0);
    }
  }
  device::wgmma_commit();
  device::wgmma_wait();
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[tile][eight][i] += part[step][tile][eight][i];
      }
    }
  }
}

// The sums of one tile by one warpgroup, over the steps that are its own: even or odd ones.
template <int kEights, int kTiles>
__device__ __forceinline__ void multiply_tile(float (&sum)[kTiles][kEights][4], const Cut& cut,
                                              int stages, uint32_t ring, uint32_t full,
                                              uint32_t empty, device::RingPosition& at) {
  constexpr int kMost = kEights * kTiles <= 4 ? 2 : 1;  // steps at a time, as registers allow
  constexpr int kXBytes = 8 * kEights * kLowLatencyStep;
  const int group = threadIdx.x / 128;
  const int weight_bytes = cut.config.rows * kLowLatencyStep;
#pragma unroll 1
  for (int stage = 0; stage < stages; ++stage) {
    const uint32_t x = ring + at.slot * cut.stage_bytes;
    const uint32_t weight = x + cut.x_bytes;
    device::wait_barrier(full + 8 * at.slot, at.parity);
    int step = group;
#pragma unroll 1
    for (; step + 2 * (kMost - 1) < cut.config.steps; step += 2 * kMost)
      multiply_steps<kMost, kEights, kTiles>(sum, weight + step * weight_bytes, weight_bytes,
                                             x + step * kXBytes);
    if (step < cut.config.steps)
      multiply_steps<1, kEights, kTiles>(sum, weight + step * weight_bytes, weight_bytes,
                                         x + step * kXBytes);
    if (threadIdx.x % 32 == 0) device::arrive(empty + 8 * at.slot);
    at.advance(cut.config.depth);
  }
}

__device__ __forceinline__ void sync_consumers() { device::wait_named(1, kConsumers); }

// Adds the sums of both warpgroups, in shared memory.
template <int kEights, int kTiles>
__device__ __forceinline__ void add_groups(Rest<kEights, kTiles>& rest,
                                           const float (&sum)[kTiles][kEights][4]) {
  const int lane = threadIdx.x % 32;
  const int row = threadIdx.x % 128 / 32 * 16 + lane / 4;
  const auto for_each = [&](auto&& function) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
      for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          function(rest.sums[eight * 8 + lane % 4 * 2 + i % 2][tile * kTileRows + row + i / 2 * 8],
                   sum[tile][eight][i]);
      }
    }
  };
  if (threadIdx.x >= 128) for_each([](float& to, float value) { to = value; });
  sync_consumers();
  if (threadIdx.x < 128) for_each([](float& to, float value) { to += value; });
}

// The sum over the cluster of what each CTA has at `own`, in the order of their ranks.
__device__ __forceinline__ float sum_of_peers(const float* own, int split) {
  float parts[kLowLatencyMaxSplit];
#pragma unroll
  for (int peer = 0; peer < kLowLatencyMaxSplit; ++peer)
    parts[peer] = peer < split ? device::load_from_peer(device::shared_address(own), peer) : 0.0f;
  float total = 0.0f;
#pragma unroll
  for (int peer = 0; peer < kLowLatencyMaxSplit; ++peer) total += parts[peer];
  return total;
}

__device__ __forceinline__ void store(float* to, float value) { *to = value; }
__device__ __forceinline__ void store(__nv_bfloat16* to, float value) {
  *to = __float2bfloat16_rn(value);
}

// Writes the outputs of a tile, or this CTA's share of them where a cluster has summed it. A thread
// keeps to one row.
template <typename T, int kEights, int kTiles>
__device__ __forceinline__ void store_tile(const LowLatencyGemm& gemm, const Cut& cut,
                                           const Rest<kEights, kTiles>& rest, int first_row) {
  constexpr int kRows = kTiles * kTileRows;
  constexpr int kTokens = kConsumers / kRows;  // at a time
  const int split = cut.config.split;
  const int rank = split == 1 ? 0 : static_cast<int>(device::cluster_rank());
  const int own = threadIdx.x % kRows;
  const int row = first_row + own;
  if (own >= cut.config.rows || row >= gemm.n) return;
  int segment = 0;
  while (row >= gemm.segment_end[segment]) ++segment;
  const float scale = rest.scales[segment];
  const float bias =
      gemm.bias == nullptr ? 0.0f : static_cast<float>(static_cast<const T*>(gemm.bias)[row]);
  T* y = static_cast<T*>(gemm.y) + row;
#pragma unroll 4
  for (int token = rank * kTokens + threadIdx.x / kRows; token < gemm.m; token += split * kTokens) {
    const float* sum = &rest.sums[token][own];
    store(y + token * gemm.y_stride, (split == 1 ? *sum : sum_of_peers(sum, split)) * scale + bias);
  }
}

template <int kEights, int kTiles>
__device__ __forceinline__ void consume(const LowLatencyGemm& gemm, const Cut& cut,
                                        Rest<kEights, kTiles>& rest, uint32_t ring, uint32_t full,
                                        uint32_t empty) {
  const Work work(cut);
  device::RingPosition at;
#pragma unroll 1
  for (int tile = 0; tile < work.tiles; ++tile) {
    float sum[kTiles][kEights][4] = {};
    multiply_tile<kEights, kTiles>(sum, cut, work.stages, ring, full, empty, at);
    if (tile > 0) sync_consumers();  // the sums of the tile before are stored
    add_groups<kEights, kTiles>(rest, sum);
    if (cut.config.split == 1) {
      sync_consumers();
    } else {
      device::cluster_sync();
    }
    const int first_row = (work.first_tile + tile * cut.tile_stride) * cut.config.rows;
    if (gemm.y_is_float) {
      store_tile<float>(gemm, cut, rest, first_row);
    } else {
      store_tile<__nv_bfloat16>(gemm, cut, rest, first_row);
    }
  }
}

// Two CTAs on a multiprocessor, the second one of the next kernel, unless there are too many sums.
template <int kEights, int kTiles>
__global__ void __launch_bounds__(kThreads, kEights* kTiles > 8 ? 1 : 2)
    low_latency_kernel(const __grid_constant__ LowLatencyGemm gemm, const __grid_constant__ Cut cut,
                       const __grid_constant__ CUtensorMap x_map,
                       const __grid_constant__ CUtensorMap weight_map) {
  using AllRest = Rest<kEights, kTiles>;
  extern __shared__ __align__(1024) uint8_t shared[];
  auto& rest = *reinterpret_cast<AllRest*>(shared + cut.config.depth * cut.stage_bytes);
  const uint32_t ring = device::shared_address(shared);
  const uint32_t full = device::shared_address(rest.full);
  const uint32_t empty = device::shared_address(rest.empty);
  Producer producer(cut, &x_map, &weight_map, ring, full, empty);
  if (threadIdx.x == 0) device::prefetch_tensor_map(&weight_map);
  if (threadIdx.x == 128) device::prefetch_tensor_map(&x_map);
  if (threadIdx.x == kConsumers) {
    for (int slot = 0; slot < cut.config.depth; ++slot) {
      device::init_barrier(full + 8 * slot, 1);
      device::init_barrier(empty + 8 * slot, kConsumers / 32);
    }
    device::publish_barriers();
    producer.fill();
  }
  if (threadIdx.x < gemm.segments)  // scales are weights: they wait for nothing
    rest.scales[threadIdx.x] = *gemm.input_scale * gemm.weight_scale[threadIdx.x];
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    consume<kEights, kTiles>(gemm, cut, rest, ring, full, empty);
  } else {
    if (threadIdx.x == kConsumers) producer.run();
    __syncwarp();
    if (cut.config.split > 1) device::cluster_sync();  // the consumers': sums are there
  }
  if (cut.config.split > 1) device::cluster_sync();  // a peer may still read this CTA's sums
}

// A copy moves `box_rows` rows × 128 codes × `steps`, with the steps as a third dimension. That
// takes a whole number of steps a row: else steps is 1, and what lies past the end of K is zeros.
CUtensorMap codes_map(const uint8_t* data, int rows, int columns, int64_t stride, int box_rows,
                      int steps) {
  const bool whole = columns % kLowLatencyStep == 0;
  TensorMapSpec spec;
  spec.data = data;
  spec.rank = 3;
  spec.sizes[0] = static_cast<uint64_t>(whole ? kLowLatencyStep : columns);
  spec.sizes[1] = static_cast<uint64_t>(rows);
  spec.sizes[2] = static_cast<uint64_t>(whole ? columns / kLowLatencyStep : 1);
  spec.strides[0] = static_cast<uint64_t>(stride);
  spec.strides[1] = kLowLatencyStep;
  spec.box[0] = kLowLatencyStep;
  spec.box[1] = static_cast<uint32_t>(box_rows);
  spec.box[2] = static_cast<uint32_t>(whole ? steps : 1);
  return make_tensor_map(spec);
}

template <int kEights, int kTiles>
void launch_shape(const LowLatencyGemm& gemm, const LowLatencyConfig& config, const Launch& where) {
  static_assert(sizeof(Rest<kEights, kTiles>) == low_latency_rest_bytes(8 * kEights, kTiles));
  const auto kernel = low_latency_kernel<kEights, kTiles>;
  Cut cut = {.config = config};
  const int tiles = ceil_divide(gemm.n, config.rows);
  cut.tile_stride = ceil_divide(tiles, config.passes);
  cut.whole_rounds = tiles / cut.tile_stride;
  cut.more = tiles % cut.tile_stride;
  cut.stages = ceil_divide(gemm.k, config.steps * kLowLatencyStep);
  // Whole groups of the most steps a stage can have: the sums do not depend on `steps`.
  const int groups = ceil_divide(gemm.k, kLowLatencyMaxSteps * kLowLatencyStep);
  cut.share = ceil_divide(groups, config.split) * (kLowLatencyMaxSteps / config.steps);
  cut.x_bytes = config.steps * 8 * kEights * kLowLatencyStep;
  cut.stage_bytes = cut.x_bytes + config.steps * config.rows * kLowLatencyStep;
  cut.copies = gemm.k % kLowLatencyStep == 0 ? 1 : config.steps;
  cut.programmatic = where.programmatic;
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = config.split;
  grid.blocks = dim3(static_cast<unsigned>(config.split), static_cast<unsigned>(cut.tile_stride));
  grid.shared_bytes = low_latency_shared_bytes(gemm.m, config);
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, gemm, cut,
         codes_map(gemm.x, gemm.m, gemm.k, gemm.x_stride, 8 * kEights, config.steps),
         codes_map(gemm.weight, gemm.n, gemm.k, gemm.weight_stride, config.rows, config.steps));
}

template <int kEights>
void dispatch_tiles(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                    const Launch& where) {
  if (config.rows <= kTileRows) return launch_shape<kEights, 1>(gemm, config, where);
  launch_shape<kEights, 2>(gemm, config, where);
}

}  // namespace

void launch_low_latency(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                        const Launch& where) {
  switch (low_latency_tokens(gemm.m)) {
    case 8:
      return dispatch_tiles<1>(gemm, config, where);
    case 16:
      return dispatch_tiles<2>(gemm, config, where);
    case 32:
      return dispatch_tiles<4>(gemm, config, where);
    default:
      dispatch_tiles<8>(gemm, config, where);
  }
}

}  // namespace octavo::cuda
