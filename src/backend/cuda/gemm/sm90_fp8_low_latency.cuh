// FP8 linear for few tokens: TMA streams tiles of weight rows past the tensor cores. The part that
// the linear and the linear with SwiGLU share; what becomes of a tile's sums is their Output.
// SPDX-License-Identifier: Apache-2.0
//
// Weights are the 64-row side of the product and tokens the narrow one (swap-AB). A tile may have
// fewer rows than the tensor cores take: what they read past it becomes sums that nobody uses. So
// all multiprocessors get equal shares of whole rows, and where there are rows enough nothing has
// to be added up between CTAs.
#pragma once

#include <cuda_bf16.h>

#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/ptx/wgmma.cuh"
#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda::low_latency {

constexpr int kConsumers = kLowLatencyConsumers;  // two warpgroups: even and odd steps
constexpr int kThreads = kConsumers + 32;
constexpr int kTileRows = kLowLatencyTileRows;

using Cut = LowLatencyCut;

// Shared memory behind the ring.
template <int kEights, int kTiles>
struct Rest {
  static constexpr int kPitch = kTiles * kTileRows + 4;  // spreads a warp's stores over the banks
  float sums[8 * kEights][kPitch];
  float scales[kLowLatencyMaxSegments];  // input scale × weight scale; Output may use the last
  uint64_t full[kLowLatencyMaxDepth], empty[kLowLatencyMaxDepth];
};

__device__ __forceinline__ LowLatencyWork own_work(const Cut& cut) {
  return {cut, static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x)};
}

// Where the codes of x are: beside the weights in the stages of the ring. What stands in its place
// (sm90_fp8_low_latency_normed.cuh) has them in memory of its own, behind the ring.
struct RingX {
  using Gemm = LowLatencyGemm;
  static constexpr bool kInRing = true;
  static __device__ __forceinline__ int bytes(const Cut&) { return 0; }  // behind the ring

  // By all consumers, before they multiply.
  template <typename AnyRest>
  static __device__ __forceinline__ RingX make(const Gemm&, const Cut&, const LowLatencyWork&,
                                               AnyRest&, uint8_t* /*behind*/) {
    return {};
  }
  // Of the CTA's `stage`, whose slot of the ring is at `slot`.
  __device__ __forceinline__ uint32_t at(uint32_t slot, int /*stage*/) const { return slot; }
};

// The one thread that asks for loads, in the order of their use. A copy costs this thread some 150
// cycles however small it is. Two cursors walk over the CTA's stages: weights, and x where that is
// loaded. kHalves: a tile has rows of either half of the weight.
template <bool kHalves, bool kLoadsX>
class Producer {
 public:
  __device__ __forceinline__ Producer(const Cut& cut, const CUtensorMap* x,
                                      const CUtensorMap* weight, uint32_t ring, uint32_t full,
                                      uint32_t empty)
      : cut_(cut),
        work_(own_work(cut)),
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
      if (cut_.programmatic && slot >= cut_.config.fill) break;
      load_weight(slot);
      if (!cut_.programmatic) load_x(slot);
    }
  }

  // The next kernel is let in near the end, by default one ring before it: its loads shall follow
  // on these ones, and sooner they would compete with them.
  __device__ __forceinline__ void run() {
    const int let_in = total_ - cut_.config.lead;
    if (let_in <= ahead_) device::launch_dependents();
    device::wait_for_dependencies();
    if (cut_.programmatic) {
      for (int slot = 0; slot < ahead_; ++slot) {
        if (slot >= cut_.config.fill) load_weight(slot);
        load_x(slot);
      }
    }
    device::RingPosition at;
    for (int i = ahead_; i < total_; ++i, at.advance(cut_.config.depth)) {
      device::wait_barrier(empty_ + 8 * at.slot, at.parity);
      load_weight(at.slot);
      load_x(at.slot);
      if (i == let_in) device::launch_dependents();
    }
  }

 private:
  struct Cursor {
    int tile = 0, stage = 0;
  };

  template <bool kOfHalves>
  __device__ __forceinline__ void copy(const CUtensorMap* map, uint32_t to, uint32_t barrier,
                                       int code, int row, int step, device::L2Policy policy) const {
    if constexpr (kOfHalves) {
      device::tma_load(to, map, barrier, code, row, 0, step, policy);
    } else {
      device::tma_load(to, map, barrier, code, row, step, policy);
    }
  }
  template <bool kOfHalves>
  __device__ __forceinline__ void load(const CUtensorMap* map, uint32_t to, int bytes, int slot,
                                       int row, Cursor& cursor, device::L2Policy policy) const {
    const int step = (work_.first_stage + cursor.stage) * cut_.config.steps;
    const uint32_t barrier = full_ + 8 * slot;
    if (cut_.copies == 1) {
      copy<kOfHalves>(map, to, barrier, 0, row, step, policy);
    } else {
      for (int i = 0; i < cut_.copies; ++i)
        copy<kOfHalves>(map, to + i * (bytes / cut_.copies), barrier, (step + i) * kLowLatencyStep,
                        row, 0, policy);
    }
    if (++cursor.stage < work_.stages) return;
    cursor.stage = 0;
    ++cursor.tile;
  }
  __device__ __forceinline__ void load_weight(int slot) {
    const int tile = work_.first_tile + weight_.tile * cut_.tile_stride;
    device::arrive_expecting(full_ + 8 * slot, cut_.stage_bytes);
    load<kHalves>(weight_map_, ring_ + slot * cut_.stage_bytes + cut_.x_bytes,
                  cut_.stage_bytes - cut_.x_bytes, slot,
                  tile * (kHalves ? cut_.config.rows / 2 : cut_.config.rows), weight_,
                  device::L2Policy::kEvictFirst);
  }
  __device__ __forceinline__ void load_x(int slot) {
    if constexpr (!kLoadsX) return;
    load<false>(x_map_, ring_ + slot * cut_.stage_bytes, cut_.x_bytes, slot, 0, x_,
                device::L2Policy::kEvictNormal);
  }

  const Cut& cut_;
  const LowLatencyWork work_;
  const CUtensorMap *x_map_, *weight_map_;
  const uint32_t ring_, full_, empty_;
  const int total_, ahead_;
  Cursor weight_, x_;
};

// Parts of K without scales of their own: a step's products are added as they are. What an Output
// has in its place says in `at(step)` how the sums of 128 codes are added.
template <int kEights, int kTiles>
struct PlainParts {
  using Sums = float[kTiles][kEights][4];
  struct Scales {
    __device__ __forceinline__ void add(Sums& sum, const Sums& part) const {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sum[tile][eight][i] += part[tile][eight][i];
        }
      }
    }
  };
  __device__ __forceinline__ PlainParts(const LowLatencyGemm&, int /*first_row*/) {}
  __device__ __forceinline__ Scales at(int /*step*/) const { return {}; }
};

// sum += kSteps steps, which lie two apart in the stage; the first is the `step_of_k`-th of K. The
// tensor cores keep about 13 bits of a running sum, so each step of 128 codes starts from zero and
// is added in fp32.
template <int kSteps, int kEights, int kTiles, typename Parts>
__device__ __forceinline__ void multiply_steps(float (&sum)[kTiles][kEights][4], uint32_t weight,
                                               int weight_bytes, uint32_t x, const Parts& parts,
                                               int step_of_k) {
  constexpr int kXBytes = 8 * kEights * kLowLatencyStep;
  constexpr uint64_t kNextTile = kTileRows * kLowLatencyStep >> 4;
  float part[kSteps][kTiles][kEights][4];
  typename Parts::Scales scales[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) scales[step] = parts.at(step_of_k + 2 * step);
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
  for (int step = 0; step < kSteps; ++step) scales[step].add(sum, part[step]);
}

// The sums of one tile by one warpgroup, over the steps that are its own: even or odd ones.
template <int kEights, int kTiles, typename Parts, typename X>
__device__ __forceinline__ void multiply_tile(float (&sum)[kTiles][kEights][4], const Cut& cut,
                                              const LowLatencyWork& work, const Parts& parts,
                                              const X& source, uint32_t ring, uint32_t full,
                                              uint32_t empty, device::RingPosition& at) {
  constexpr int kMost = kEights * kTiles <= 4 ? 2 : 1;  // steps at a time, as registers allow
  constexpr int kXBytes = 8 * kEights * kLowLatencyStep;
  const int group = threadIdx.x / 128;
  const int weight_bytes = cut.config.rows * kLowLatencyStep;
#pragma unroll 1
  for (int stage = 0; stage < work.stages; ++stage) {
    const int first = (work.first_stage + stage) * cut.config.steps;
    const uint32_t in_ring = ring + at.slot * cut.stage_bytes;
    const uint32_t x = source.at(in_ring, stage);
    const uint32_t weight = X::kInRing ? in_ring + cut.x_bytes : in_ring;
    device::wait_barrier(full + 8 * at.slot, at.parity);
    int step = group;
#pragma unroll 1
    for (; step + 2 * (kMost - 1) < cut.config.steps; step += 2 * kMost)
      multiply_steps<kMost, kEights, kTiles>(sum, weight + step * weight_bytes, weight_bytes,
                                             x + step * kXBytes, parts, first + step);
    if (step < cut.config.steps)
      multiply_steps<1, kEights, kTiles>(sum, weight + step * weight_bytes, weight_bytes,
                                         x + step * kXBytes, parts, first + step);
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

// One row of the weight: what becomes of its sums.
struct Row {
  float scale, bias;

  template <typename T, typename AnyRest>
  static __device__ __forceinline__ Row of(const LowLatencyGemm& gemm, const AnyRest& rest, int row,
                                           const T*) {
    int segment = 0;
    while (row >= gemm.segment_end[segment]) ++segment;
    return {rest.scales[segment], gemm.bias == nullptr
                                      ? 0.0f
                                      : static_cast<float>(static_cast<const T*>(gemm.bias)[row])};
  }

  // The result for the sums at `own`, of this CTA or of all in the cluster.
  __device__ __forceinline__ float finish(const float* own, int split) const {
    return (split == 1 ? *own : sum_of_peers(own, split)) * scale + bias;
  }
};

template <typename Output, typename X, int kEights, int kTiles>
__device__ __forceinline__ void consume(const typename X::Gemm& gemm, const Cut& cut,
                                        Rest<kEights, kTiles>& rest, uint8_t* shared, uint32_t ring,
                                        uint32_t full, uint32_t empty) {
  const LowLatencyWork work = own_work(cut);
  device::RingPosition at;
  if constexpr (!Output::kStaticScales) device::wait_for_dependencies();
  const X x = X::make(gemm, cut, work, rest, shared + cut.config.depth * cut.stage_bytes);
#pragma unroll 1
  for (int tile = 0; tile < work.tiles; ++tile) {
    float sum[kTiles][kEights][4] = {};
    const typename Output::template Parts<kEights, kTiles> parts(
        gemm, (work.first_tile + tile * cut.tile_stride) * cut.config.rows);
    multiply_tile<kEights, kTiles>(sum, cut, work, parts, x, ring, full, empty, at);
    if (tile > 0) sync_consumers();  // the sums of the tile before are stored
    add_groups<kEights, kTiles>(rest, sum);
    if (cut.config.split == 1) {
      sync_consumers();
    } else {
      device::cluster_sync();
    }
    Output::store_tile(gemm, cut, rest, work.first_tile + tile * cut.tile_stride);
  }
}

// Two CTAs on a multiprocessor, the second one of the next kernel, unless there are too many sums,
// or rows to norm.
template <typename Output, typename X, int kEights, int kTiles>
__global__ void __launch_bounds__(kThreads, kEights* kTiles > 8 || !X::kInRing ? 1 : 2)
    low_latency_kernel(const __grid_constant__ typename X::Gemm gemm,
                       const __grid_constant__ Cut cut, const __grid_constant__ CUtensorMap x_map,
                       const __grid_constant__ CUtensorMap weight_map) {
  using AllRest = Rest<kEights, kTiles>;
  extern __shared__ __align__(1024) uint8_t shared[];
  auto& rest =
      *reinterpret_cast<AllRest*>(shared + cut.config.depth * cut.stage_bytes + X::bytes(cut));
  const uint32_t ring = device::shared_address(shared);
  const uint32_t full = device::shared_address(rest.full);
  const uint32_t empty = device::shared_address(rest.empty);
  Producer<Output::kHalves, X::kInRing> producer(cut, &x_map, &weight_map, ring, full, empty);
  if (threadIdx.x == 0) device::prefetch_tensor_map(&weight_map);
  if (X::kInRing && threadIdx.x == 128) device::prefetch_tensor_map(&x_map);
  if (threadIdx.x == kConsumers) {
    for (int slot = 0; slot < cut.config.depth; ++slot) {
      device::init_barrier(full + 8 * slot, 1);
      device::init_barrier(empty + 8 * slot, kConsumers / 32);
    }
    device::publish_barriers();
    producer.fill();
  }
  if (Output::kStaticScales && threadIdx.x < gemm.segments)  // these are weights: no wait for them
    rest.scales[threadIdx.x] = *gemm.input_scale * gemm.weight_scale[threadIdx.x];
  Output::prepare(gemm, rest);
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    consume<Output, X, kEights, kTiles>(gemm, cut, rest, shared, ring, full, empty);
  } else {
    if (threadIdx.x == kConsumers) producer.run();
    __syncwarp();
    if (cut.config.split > 1) device::cluster_sync();  // the consumers': sums are there
  }
  if (cut.config.split > 1) device::cluster_sync();  // a peer may still read this CTA's sums
}

template <typename Output>
CUtensorMap weight_map(const LowLatencyGemm& gemm, const LowLatencyConfig& config) {
  if constexpr (Output::kHalves) {
    return make_tensor_map(low_latency_halves_map(
        gemm.weight, gemm.n / 2, gemm.k, gemm.weight_stride, config.rows / 2, config.steps));
  } else {
    return make_tensor_map(low_latency_map(gemm.weight, gemm.n, gemm.k, gemm.weight_stride,
                                           config.rows, config.steps));
  }
}

// The map of x, or another where there is nothing to copy.
template <typename X>
CUtensorMap x_map(const LowLatencyGemm& gemm, const LowLatencyConfig& config,
                  const CUtensorMap& other) {
  if constexpr (!X::kInRing) return other;
  return make_tensor_map(low_latency_map(gemm.x, gemm.m, gemm.k, gemm.x_stride,
                                         low_latency_tokens(gemm.m), config.steps));
}

template <typename Output, typename X, int kEights, int kTiles>
void launch_shape(const typename X::Gemm& gemm, const LowLatencyConfig& config,
                  const Launch& where) {
  static_assert(sizeof(Rest<kEights, kTiles>) == low_latency_rest_bytes(8 * kEights, kTiles));
  const auto kernel = low_latency_kernel<Output, X, kEights, kTiles>;
  const Cut cut = X::kInRing ? low_latency_cut(gemm.m, gemm.n, gemm.k, config, where.programmatic)
                             : normed_low_latency_cut(gemm.n, gemm.k, config, where.programmatic);
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = config.split;
  grid.blocks = dim3(static_cast<unsigned>(config.split), static_cast<unsigned>(cut.tile_stride));
  grid.shared_bytes = X::kInRing ? low_latency_shared_bytes(gemm.m, config)
                                 : normed_low_latency_shared_bytes(gemm.k, config);
  allow_shared_memory(kernel, grid.shared_bytes);
  const CUtensorMap weight = weight_map<Output>(gemm, config);
  launch(where, grid, kernel, gemm, cut, x_map<X>(gemm, config, weight), weight);
}

template <typename Output, int kEights, typename X = RingX>
void launch_tiles(const typename X::Gemm& gemm, const LowLatencyConfig& config,
                  const Launch& where) {
  if (config.rows <= kTileRows) return launch_shape<Output, X, kEights, 1>(gemm, config, where);
  launch_shape<Output, X, kEights, 2>(gemm, config, where);
}

template <typename Output>
void launch_with(const LowLatencyGemm& gemm, const LowLatencyConfig& config, const Launch& where) {
  switch (low_latency_tokens(gemm.m)) {
    case 8:
      return launch_tiles<Output, 1>(gemm, config, where);
    case 16:
      return launch_tiles<Output, 2>(gemm, config, where);
    case 32:
      return launch_tiles<Output, 4>(gemm, config, where);
    default:
      launch_tiles<Output, 8>(gemm, config, where);
  }
}

__device__ __forceinline__ void store(float* to, float value) { *to = value; }
__device__ __forceinline__ void store(__nv_bfloat16* to, float value) {
  *to = __float2bfloat16_rn(value);
}

// An output whose y has its own type: Output::store_as<T> writes a tile from its first row on.
template <typename Output>
struct InTypeOfY {
  static constexpr bool kHalves = false;

  template <typename AnyRest>
  static __device__ __forceinline__ void prepare(const LowLatencyGemm&, AnyRest&) {}

  template <int kEights, int kTiles>
  static __device__ __forceinline__ void store_tile(const LowLatencyGemm& gemm, const Cut& cut,
                                                    const Rest<kEights, kTiles>& rest, int tile) {
    const int first_row = tile * cut.config.rows;
    if (gemm.y_is_float) {
      Output::template store_as<float>(gemm, cut, rest, first_row);
    } else {
      Output::template store_as<__nv_bfloat16>(gemm, cut, rest, first_row);
    }
  }
};

}  // namespace octavo::cuda::low_latency
