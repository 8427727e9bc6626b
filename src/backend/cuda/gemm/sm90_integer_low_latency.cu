// Linear on integer codes for few tokens: TMA streams rows of codes past the tensor cores.
// SPDX-License-Identifier: Apache-2.0
//
// Codes are the 16-row side of mma.sync and tokens the narrow one. Threads take codes from shared
// memory as they are stored, make bfloat16 of them in registers, which is exact, and multiply;
// device/integer_codes.cuh says which code goes where. Of the eight warps that multiply, four share
// the rows of a tile and two its K: even and odd steps.
#include <cuda_bf16.h>

#include "backend/cuda/device/decode_integer.cuh"
#include "backend/cuda/device/numerics.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/mma.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/gemm/integer_low_latency.h"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda {
namespace {

using device::StepLayout;

constexpr int kConsumers = 256;
constexpr int kThreads = kConsumers + 32;
constexpr int kRowWarps = 4;
constexpr int kDepthWarps = kConsumers / 32 / kRowWarps;
constexpr int kProductRows = 16;
constexpr int kLineBytes = 128;

// What the kernel is told of the cut.
struct Cut {
  IntegerConfig config;
  int stored_rows;  // of a tile
  int tiles;        // in all
  int tile_stride;  // between the tiles of a CTA
  int stages;       // of K, in all
  int share;        // stages of a CTA, at most
  int x_bytes;      // of a stage: x comes first, then the codes
  int stage_bytes;
  bool whole_steps;   // K has no tail: one copy moves the steps of a stage
  bool programmatic;  // another kernel may still be writing x
};

// Shared memory behind the ring.
template <int kEights, int kBlocks>
struct Rest {
  static constexpr int kPitch = kBlocks * 64 + 4;  // spreads a warp's stores over the banks
  float sums[8 * kEights][kPitch];
  uint64_t full[kIntegerMaxDepth], empty[kIntegerMaxDepth];
};
static_assert(sizeof(Rest<8, 2>) == integer_rest_bytes(64, 2) &&
              sizeof(Rest<1, 4>) == integer_rest_bytes(8, 4));

// The CTA's part of the work.
struct Work {
  int first_tile, first_stage, stages, first_token;

  __device__ __forceinline__ explicit Work(const Cut& cut) {
    first_tile = static_cast<int>(blockIdx.y);
    first_stage = static_cast<int>(blockIdx.x) * cut.share;
    stages = max(0, min(cut.share, cut.stages - first_stage));
    first_token = static_cast<int>(blockIdx.z) * kIntegerTokens;
  }
};

// The one thread that asks for loads, in the order of their use. Two cursors walk over the CTA's
// stages: codes, and x.
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
        total_((cut.tiles - work_.first_tile + cut.tile_stride - 1) / cut.tile_stride *
               work_.stages),
        ahead_(min(cut.config.depth, total_)) {}

  // Fills the ring as far as need not wait for the kernel before this one: with codes.
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

  __device__ __forceinline__ int first_step(const Cursor& cursor) const {
    return (work_.first_stage + cursor.stage) * cut_.config.steps;
  }
  __device__ __forceinline__ void advance(Cursor& cursor) const {
    if (++cursor.stage < work_.stages) return;
    cursor.stage = 0;
    ++cursor.tile;
  }
  __device__ __forceinline__ void load_weight(int slot) {
    const int row = (work_.first_tile + weight_.tile * cut_.tile_stride) * cut_.stored_rows;
    const int step = first_step(weight_);
    const uint32_t barrier = full_ + 8 * slot;
    const uint32_t to = ring_ + slot * cut_.stage_bytes + cut_.x_bytes;
    device::arrive_expecting(barrier, cut_.stage_bytes);
    if (cut_.whole_steps) {
      device::tma_load(to, weight_map_, barrier, 0, row, step, device::L2Policy::kEvictFirst);
    } else {
      for (int i = 0; i < cut_.config.steps; ++i)
        device::tma_load(to + i * cut_.stored_rows * kIntegerStep, weight_map_, barrier,
                         (step + i) * kIntegerStep, row, 0, device::L2Policy::kEvictFirst);
    }
    advance(weight_);
  }
  __device__ __forceinline__ void load_x(int slot) {
    const int lines = 2 * cut_.config.steps;
    const int line = 2 * first_step(x_);
    const uint32_t barrier = full_ + 8 * slot;
    const uint32_t to = ring_ + slot * cut_.stage_bytes;
    if (cut_.whole_steps) {
      device::tma_load(to, x_map_, barrier, 0, work_.first_token, line);
    } else {
      for (int i = 0; i < lines; ++i)
        device::tma_load(to + i * (cut_.x_bytes / lines), x_map_, barrier,
                         (line + i) * StepLayout::kLineElements, work_.first_token, 0);
    }
    advance(x_);
  }

  const Cut& cut_;
  const Work work_;
  const CUtensorMap *x_map_, *weight_map_;
  const uint32_t ring_, full_, empty_;
  const int total_, ahead_;
  Cursor weight_, x_;
};

// Products of one tile by one warp: rows of 16 `kRowWarps` apart, and every other step.
template <bool kFourBits, int kEights, int kBlocks>
class Multiplier {
 public:
  using Sums = float[kBlocks][kEights][4];

  __device__ __forceinline__ Multiplier(const IntegerGemm& gemm, const Cut& cut)
      : gemm_(gemm),
        cut_(cut),
        g_(static_cast<int>(threadIdx.x) % 32 / 4),
        t_(static_cast<int>(threadIdx.x) % 4),
        row_warp_(static_cast<int>(threadIdx.x) / 32 % kRowWarps),
        blocks_((cut.config.rows / kProductRows - row_warp_ + kRowWarps - 1) / kRowWarps) {
    const int stored_of_product = kProductRows / (kFourBits ? 2 : 1);
    code_offset_ =
        (row_warp_ * stored_of_product + g_) * kLineBytes + StepLayout::code_offset(g_, t_, 0);
    x_offset_ = (StepLayout::x_line(t_) * 8 * kEights + g_) * kLineBytes +
                StepLayout::x_offset(g_, t_, 0, 0);
  }

  __device__ __forceinline__ static int depth_warp() {
    return static_cast<int>(threadIdx.x) / (32 * kRowWarps);
  }

  // Loads the scales of a step, for it to be multiplied later. Where there is nothing of the row or
  // of K, those of the last: what they scale is zeros or is not stored. Offsets of 32 bits, which
  // 16 GB of scales have, keep all in registers.
  __device__ __forceinline__ void load_scales(int first_row, int step) {
    if constexpr (kFourBits) {
      const uint32_t group = min(step, (gemm_.shape.k - 1) / kIntegerGroup);
      const auto stride = static_cast<uint32_t>(gemm_.scale_stride);
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
        for (int high = 0; high < 2; ++high) {
          const int row = first_row + (row_warp_ + block * kRowWarps) * kProductRows +
                          device::row_of_pair(true, g_, high);
          scales_[block][high] = gemm_.scale[min(row, gemm_.shape.n - 1) * stride + group];
        }
      }
    }
  }

  // Adds one step, whose codes and x start at these addresses. `scales_` are its own.
  __device__ __forceinline__ void multiply(Sums& sums, uint32_t codes, uint32_t x) const {
    constexpr int kStored = kProductRows / (kFourBits ? 2 : 1);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int first = 0; first < kEights; first += kTogether) {
        Tokens b;
        load_x(b, x + first * 8 * kLineBytes, half);
#pragma unroll
        for (int block = 0; block < kBlocks; ++block) {
          if (block >= blocks_) break;
          const uint32_t from =
              codes + block * kRowWarps * kStored * kLineBytes + (code_offset_ ^ (half << 4));
          const uint4 low = device::load_shared_16(from);
          const uint4 high = kFourBits ? low : device::load_shared_16(from + 8 * kLineBytes);
          add_piece(&sums[block][first], low, high, b, block);
        }
      }
    }
  }

 private:
  // Tokens whose products share what is decoded: more would not fit into registers.
  static constexpr int kTogether = kEights < 4 ? kEights : 4;
  using Tokens = uint32_t[kTogether][4][2];

  // The elements of x that meet a piece of codes, as the products of it want them.
  __device__ __forceinline__ void load_x(Tokens& b, uint32_t x, int half) const {
#pragma unroll
    for (int eight = 0; eight < kTogether; ++eight) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint4 v = device::load_shared_16(x + eight * 8 * kLineBytes +
                                               (x_offset_ ^ ((2 * half + i) << 4)));
        b[eight][2 * i][0] = __byte_perm(v.x, v.y, 0x5410);
        b[eight][2 * i][1] = __byte_perm(v.x, v.y, 0x7632);
        b[eight][2 * i + 1][0] = __byte_perm(v.z, v.w, 0x5410);
        b[eight][2 * i + 1][1] = __byte_perm(v.z, v.w, 0x7632);
      }
    }
  }

  __device__ __forceinline__ void add_piece(float (*sums)[4], const uint4& low, const uint4& high,
                                            const Tokens& b, int block) const {
    const uint32_t lows[4] = {low.x, low.y, low.z, low.w};
    const uint32_t highs[4] = {high.x, high.y, high.z, high.w};
    float part[kTogether][4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      uint32_t a[4];
      device::decode_words<kFourBits>(a, lows[i], highs[i]);
#pragma unroll
      for (int eight = 0; eight < kTogether; ++eight) {
        if constexpr (kFourBits) {
          device::mma_bf16(part[eight], a, b[eight][i][0], b[eight][i][1]);
        } else {
          device::mma_bf16(sums[eight], a, b[eight][i][0], b[eight][i][1]);
        }
      }
    }
    if constexpr (kFourBits) {
#pragma unroll
      for (int eight = 0; eight < kTogether; ++eight) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sums[eight][i] = __fmaf_rn(part[eight][i], scales_[block][i / 2], sums[eight][i]);
      }
    }
  }

  const IntegerGemm& gemm_;
  const Cut& cut_;
  const int g_, t_, row_warp_, blocks_;
  int code_offset_, x_offset_;
  float scales_[kFourBits ? kBlocks : 1][2];
};

__device__ __forceinline__ void sync_consumers() { device::wait_named(1, kConsumers); }

template <bool kFourBits, int kEights, int kBlocks>
struct Consumer {
  const IntegerGemm& gemm;
  const Cut& cut;
  Rest<kEights, kBlocks>& rest;
  uint32_t ring, full, empty;

  using Multiply = Multiplier<kFourBits, kEights, kBlocks>;
  using Sums = typename Multiply::Sums;
  static constexpr int kRows = kBlocks * 64;

  // The sums of one tile by one warp, over the steps that are its own. The scales of a step are
  // loaded while the one before is multiplied.
  __device__ __forceinline__ void multiply_tile(Sums& sums, const Work& work, int first_row,
                                                device::RingPosition& at) const {
    Multiply multiplier(gemm, cut);
    int next = work.first_stage * cut.config.steps + Multiply::depth_warp();
    multiplier.load_scales(first_row, next);
#pragma unroll 1
    for (int stage = 0; stage < work.stages; ++stage) {
      const uint32_t x = ring + at.slot * cut.stage_bytes;
      const int first = (work.first_stage + stage) * cut.config.steps;
      device::wait_barrier(full + 8 * at.slot, at.parity);
#pragma unroll 1
      for (; next < first + cut.config.steps; next += kDepthWarps) {
        const int step = next - first;
        const Multiply now = multiplier;
        multiplier.load_scales(first_row, next + kDepthWarps);
        now.multiply(sums, x + cut.x_bytes + step * cut.stored_rows * kIntegerStep,
                     x + step * 16 * kEights * kLineBytes);
      }
      __syncwarp();
      if (threadIdx.x % 32 == 0) device::arrive(empty + 8 * at.slot);
      at.advance(cut.config.depth);
    }
  }

  // Adds the sums of even and odd steps, in shared memory.
  __device__ __forceinline__ void add_depths(const Sums& sums) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row_warp = static_cast<int>(threadIdx.x) / 32 % kRowWarps;
    const auto for_each = [&](auto&& function) {
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
        for (int eight = 0; eight < kEights; ++eight) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int row = (row_warp + block * kRowWarps) * kProductRows +
                            device::row_of_pair(kFourBits, lane / 4, i / 2);
            function(rest.sums[eight * 8 + lane % 4 * 2 + i % 2][row], sums[block][eight][i]);
          }
        }
      }
    };
    if (Multiply::depth_warp() > 0) for_each([](float& to, float value) { to = value; });
    sync_consumers();
    if (Multiply::depth_warp() == 0) for_each([](float& to, float value) { to += value; });
  }

  // The sum over the cluster of what each CTA has at `own`, in the order of their ranks.
  __device__ __forceinline__ float sum_of_peers(const float* own) const {
    float parts[kIntegerMaxSplit];
#pragma unroll
    for (int peer = 0; peer < kIntegerMaxSplit; ++peer)
      parts[peer] = peer < cut.config.split
                        ? device::load_from_peer(device::shared_address(own), peer)
                        : 0.0f;
    float total = 0.0f;
#pragma unroll
    for (int peer = 0; peer < kIntegerMaxSplit; ++peer) total += parts[peer];
    return total;
  }

  // What a thread multiplies and adds the sums of its row by: it keeps to one in store_tile.
  struct Terms {
    float scale, bias;
  };

  // Asked for before the products, so that nothing waits for memory behind them.
  __device__ __forceinline__ Terms terms_of(int first_row) const {
    const int row = min(first_row + static_cast<int>(threadIdx.x) % kRows, gemm.shape.n - 1);
    Terms terms = {1.0f, 0.0f};
    if constexpr (!kFourBits) terms.scale = gemm.scale[row * gemm.scale_stride];
    if (gemm.bias == nullptr) return terms;
    terms.bias = gemm.y_is_float
                     ? static_cast<const float*>(gemm.bias)[row]
                     : device::to_float(static_cast<const __nv_bfloat16*>(gemm.bias)[row]);
    return terms;
  }

  // Writes the outputs of a tile, or this CTA's share of them where a cluster has summed it.
  template <typename T>
  __device__ __forceinline__ void store_tile(const Work& work, int first_row,
                                             const Terms& terms) const {
    constexpr int kTokens = kConsumers / kRows;  // at a time
    const int split = cut.config.split;
    const int rank = split == 1 ? 0 : static_cast<int>(device::cluster_rank());
    const int own = static_cast<int>(threadIdx.x) % kRows;
    const int row = first_row + own;
    if (own >= cut.config.rows || row >= gemm.shape.n) return;
    const int tokens = min(gemm.shape.m - work.first_token, 8 * kEights);
    T* y = static_cast<T*>(gemm.y) + work.first_token * gemm.y_stride + row;
#pragma unroll 4
    for (int token = rank * kTokens + static_cast<int>(threadIdx.x) / kRows; token < tokens;
         token += split * kTokens) {
      const float* own_sum = &rest.sums[token][own];
      const float sum = split == 1 ? *own_sum : sum_of_peers(own_sum);
      y[token * gemm.y_stride] = device::round_to<T>(__fmaf_rn(sum, terms.scale, terms.bias));
    }
  }

  __device__ __forceinline__ void run() const {
    const Work work(cut);
    device::RingPosition at;
#pragma unroll 1
    for (int tile = work.first_tile; tile < cut.tiles; tile += cut.tile_stride) {
      const int first_row = tile * cut.config.rows;
      const Terms terms = terms_of(first_row);
      Sums sums = {};
      multiply_tile(sums, work, first_row, at);
      if (tile > work.first_tile) sync_consumers();  // the sums of the tile before are stored
      add_depths(sums);
      if (cut.config.split == 1) {
        sync_consumers();
      } else {
        device::cluster_sync();
      }
      if (gemm.y_is_float) {
        store_tile<float>(work, first_row, terms);
      } else {
        store_tile<__nv_bfloat16>(work, first_row, terms);
      }
    }
  }
};

template <bool kFourBits, int kEights, int kBlocks>
__global__ void __launch_bounds__(kThreads, 1)
    integer_kernel(const __grid_constant__ IntegerGemm gemm, const __grid_constant__ Cut cut,
                   const __grid_constant__ CUtensorMap x_map,
                   const __grid_constant__ CUtensorMap weight_map) {
  extern __shared__ __align__(1024) uint8_t shared[];
  auto& rest =
      *reinterpret_cast<Rest<kEights, kBlocks>*>(shared + cut.config.depth * cut.stage_bytes);
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
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    Consumer<kFourBits, kEights, kBlocks>{gemm, cut, rest, ring, full, empty}.run();
  } else {
    if (threadIdx.x == kConsumers) producer.run();
    __syncwarp();
    if (cut.config.split > 1) device::cluster_sync();  // the consumers': sums are there
  }
  if (cut.config.split > 1) device::cluster_sync();  // a peer may still read this CTA's sums
}

// Rows of lines of 128 bytes. A copy moves `box_rows` rows × `lines`, with the lines as a third
// dimension. That takes a whole number of them a row: else lines is 1, and what lies past the end
// of K is zeros.
struct Lines {
  const void* data;
  CUtensorMapDataType type;
  int elements;  // of a line
  int rows, columns;
  int64_t stride_bytes;
};

CUtensorMap lines_map(const Lines& of, int box_rows, int lines, bool whole) {
  TensorMapSpec spec;
  spec.data = of.data;
  spec.type = of.type;
  spec.rank = 3;
  spec.sizes[0] = static_cast<uint64_t>(whole ? of.elements : of.columns);
  spec.sizes[1] = static_cast<uint64_t>(of.rows);
  spec.sizes[2] = static_cast<uint64_t>(whole ? of.columns / of.elements : 1);
  spec.strides[0] = static_cast<uint64_t>(of.stride_bytes);
  spec.strides[1] = kLineBytes;
  spec.box[0] = static_cast<uint32_t>(of.elements);
  spec.box[1] = static_cast<uint32_t>(box_rows);
  spec.box[2] = static_cast<uint32_t>(whole ? lines : 1);
  return make_tensor_map(spec);
}

constexpr int ceil_divide(int a, int b) { return (a + b - 1) / b; }

Cut make_cut(const IntegerGemm& gemm, const IntegerConfig& config, int tokens, bool programmatic) {
  const IntegerShape& shape = gemm.shape;
  Cut cut = {.config = config};
  cut.stored_rows = config.rows / rows_of_stored(shape);
  cut.tiles = ceil_divide(shape.n, config.rows);
  cut.tile_stride = ceil_divide(cut.tiles, config.passes);
  cut.stages = ceil_divide(shape.k, config.steps * kIntegerStep);
  // Whole groups of steps: the sums do not depend on `steps`.
  const int groups = ceil_divide(shape.k, kIntegerStepGroup * kIntegerStep);
  cut.share = ceil_divide(groups, config.split) * (kIntegerStepGroup / config.steps);
  cut.x_bytes = config.steps * 2 * tokens * kLineBytes;
  cut.stage_bytes = cut.x_bytes + config.steps * cut.stored_rows * kIntegerStep;
  cut.whole_steps = shape.k % kIntegerStep == 0;
  cut.programmatic = programmatic;
  return cut;
}

template <bool kFourBits, int kEights, int kBlocks>
void launch_shape(const IntegerGemm& gemm, const IntegerConfig& config, const Launch& where) {
  const auto kernel = integer_kernel<kFourBits, kEights, kBlocks>;
  const IntegerShape& shape = gemm.shape;
  const Cut cut = make_cut(gemm, config, 8 * kEights, where.programmatic);
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = config.split;
  grid.blocks = dim3(static_cast<unsigned>(config.split), static_cast<unsigned>(cut.tile_stride),
                     static_cast<unsigned>(ceil_divide(shape.m, kIntegerTokens)));
  grid.shared_bytes = integer_shared_bytes(shape, config);
  allow_shared_memory(kernel, grid.shared_bytes);
  const Lines x = {gemm.x,
                   CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                   StepLayout::kLineElements,
                   shape.m,
                   shape.k,
                   2 * gemm.x_stride};
  const Lines weight = {gemm.weight,  CU_TENSOR_MAP_DATA_TYPE_UINT8,
                        kIntegerStep, shape.n / rows_of_stored(shape),
                        shape.k,      gemm.weight_stride};
  launch(where, grid, kernel, gemm, cut,
         lines_map(x, 8 * kEights, 2 * config.steps, cut.whole_steps),
         lines_map(weight, cut.stored_rows, config.steps, cut.whole_steps));
}

template <int kEights>
void dispatch_codes(const IntegerGemm& gemm, const IntegerConfig& config, const Launch& where) {
  if (!gemm.shape.four_bits) return launch_shape<false, kEights, 2>(gemm, config, where);
  if (integer_row_blocks(config.rows) == 2)
    return launch_shape<true, kEights, 2>(gemm, config, where);
  if constexpr (kEights <= 2) launch_shape<true, kEights, 4>(gemm, config, where);
}

}  // namespace

void launch_integer_low_latency(const IntegerGemm& gemm, const IntegerConfig& config,
                                const Launch& where) {
  switch (integer_tokens(gemm.shape.m)) {
    case 8:
      return dispatch_codes<1>(gemm, config, where);
    case 16:
      return dispatch_codes<2>(gemm, config, where);
    case 32:
      return dispatch_codes<4>(gemm, config, where);
    default:
      dispatch_codes<8>(gemm, config, where);
  }
}

}  // namespace octavo::cuda
