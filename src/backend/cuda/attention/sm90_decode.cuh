// Decode attention's parts: how the CTAs of a cluster stream a sequence's cache and merge its rows.
// SPDX-License-Identifier: Apache-2.0
//
// A producer warp keeps a ring of stages full by TMA; the other warps take their tokens of each
// stage and are not synchronised with each other. The CTAs of a cluster share a query row: each
// streams every `split`-th stage, and they send each other the columns that the other one stores.
// Two kernels are made of them: of rotated queries and a whole cache (sm90_decode.cu), and of what
// the linear of q, k and v wrote (sm90_rope_decode.cu).
#pragma once

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "backend/cuda/attention/attention.h"
#include "backend/cuda/device/attention_schedule.cuh"
#include "backend/cuda/device/decode_tile.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/warpgroup.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda::decode {

constexpr int kConsumers = 4;  // warps
constexpr int kMathThreads = kConsumers * 32;
constexpr int kThreads = kMathThreads + 32;
constexpr int kMaxSplit = 16;
constexpr int kLine = 128;  // bytes of a row of a tensor map: the cache is seen as lines

// The tile of a warp, and the ring of stages that the warps take their tiles from.
template <typename Cache, int kDim, bool kNarrow>
struct Config : device::DecodeTile<Cache, kDim, kNarrow> {
  using Tile = device::DecodeTile<Cache, kDim, kNarrow>;
  static constexpr int kStageTokens = kConsumers * Tile::kStep;
  static constexpr int kTensorBytes = kStageTokens * Tile::kRowBytes;  // k or v of a stage
  static constexpr int kStageBytes = 2 * kTensorBytes;
  static constexpr int kCtasPerSm = kNarrow ? 2 : 1;
  static constexpr int kSharedBytes = (kCtasPerSm == 1 ? 227 : 113) * 1024;
  // What Shared has beyond the ring, rounded up.
  static constexpr int kRestBytes =
      Tile::kHeads * Tile::kHeadDim * 24 + Tile::kHeads * (256 + 96) + 4096;
  static constexpr int kDepth = (kSharedBytes - kRestBytes) / kStageBytes;
  static constexpr bool kOnePair = false;
  using Order = device::LengthOrder;
};

// Of launches that have a cluster for each pair: nothing to sort by, a ring of any depth, and the
// next kernel may be let in when the keys are asked for.
template <typename Usual, int kStages>
struct OnePairConfig : Usual {
  using ManyPairs = Usual;
  static constexpr int kDepth = kStages;
  static constexpr bool kOnePair = true;
  struct Order {};
};

template <typename C>
struct Shared {
  static constexpr int kPitch = C::kHeadDim + 4;              // spreads heads over banks
  alignas(1024) uint8_t ring[C::kDepth][2][C::kTensorBytes];  // k, v; 128-byte swizzled
  alignas(16) float output[kConsumers][C::kHeads][kPitch];
  float largest[kConsumers][C::kHeads], total[kConsumers][C::kHeads];
  // From every CTA of the cluster, of two rows in turn: its sums for the columns of this CTA, and
  // for every head its maximum and its sum of weights.
  alignas(16) float columns[2][C::kHeads * C::kHeadDim];
  float2 weights[2][kMaxSplit][C::kHeads];
  alignas(8) uint64_t full[C::kDepth], empty[C::kDepth], received[2];
  typename C::Order order;
};

// What the kernel gets beyond the call.
struct DecodeParams {
  device::Sequences sequences;
  int box_tokens;  // of one TMA copy
  bool sorted, zero_rows;
  bool keys_let_in;  // the next kernel, once the last keys are asked for; of kOnePair
};

struct StageRange {
  int first, count;
};
template <typename C>
__device__ __forceinline__ StageRange stages_of(const device::KeyRange& keys) {
  const int first = keys.first / C::kStageTokens;
  return {first, max((keys.end + C::kStageTokens - 1) / C::kStageTokens - first, 0)};
}

// One warp: keeps the ring full. Lanes are the boxes of a stage.
template <typename C>
class Producer {
 public:
  __device__ __forceinline__ Producer(const AttentionCall& call, const DecodeParams& params,
                                      const CUtensorMap& k_map, const CUtensorMap& v_map, int split,
                                      Shared<C>& shared)
      : call_(call),
        params_(params),
        k_map_(k_map),
        v_map_(v_map),
        split_(split),
        boxes_(C::kStageTokens / params.box_tokens),
        shared_(shared) {}

  __device__ __forceinline__ void run(device::WorkList& list) {
    device::Work ahead = {.pair = -1};
    int ahead_blocks = look_ahead(list, ahead);
    device::Work work;
    while (list.next(work)) {
      blocks_ = work.pair == ahead.pair ? ahead_blocks : read_blocks(work, 0);
      ahead_blocks = look_ahead(list, ahead);
      stream(work);
    }
    if constexpr (C::kOnePair) {
      if (params_.keys_let_in) device::launch_dependents();
    }
  }

 private:
  // The block of box `index` + lane of this CTA's stages; what lies past the sequence is not used.
  __device__ __forceinline__ int read_blocks(const device::Work& work, int index) const {
    const int box = index + static_cast<int>(threadIdx.x % 32);
    const int stage = work.keys.first / C::kStageTokens + work.turn + box / boxes_ * split_;
    const int at =
        (stage * C::kStageTokens + box % boxes_ * params_.box_tokens) / call_.tokens_per_block;
    return at < call_.table_width ? call_.block_table[work.sequence * call_.table_stride + at] : 0;
  }

  // The first blocks of the next pair. With a window they depend on its length, which is not there
  // yet.
  __device__ __forceinline__ int look_ahead(const device::WorkList& list,
                                            device::Work& ahead) const {
    ahead.pair = -1;
    if (call_.window > 0 || !list.peek(ahead)) return 0;
    return read_blocks(ahead, 0);
  }

  __device__ __forceinline__ void stream(const device::Work& work) {
    const StageRange stages = stages_of<C>(work.keys);
    int box = 0;
    for (int stage = work.turn; stage < stages.count; stage += split_) {
      if (box > 0 && box % 32 == 0) blocks_ = read_blocks(work, box);
      request(work, (stages.first + stage) * C::kStageTokens, box % 32);
      box += boxes_;
    }
  }

  __device__ __forceinline__ void request(const device::Work& work, int first, int box) {
    const int lane = threadIdx.x % 32;
    const int block = __shfl_sync(0xFFFFFFFFu, blocks_, box + lane);
    const int token = first + lane * params_.box_tokens;
    const bool wanted =
        lane < boxes_ && token < work.keys.end && token + params_.box_tokens > work.keys.first;
    const int bytes = params_.box_tokens * C::kRowBytes;
    const int copies = 2 * __popc(__ballot_sync(0xFFFFFFFFu, wanted));
    const uint32_t full = device::shared_address(&shared_.full[position_.slot]);
    device::wait_barrier(device::shared_address(&shared_.empty[position_.slot]),
                         position_.parity ^ 1);
    if (lane == 0) device::arrive_expecting(full, copies * bytes);
    __syncwarp();
    if (wanted) {
      const int64_t row =
          (static_cast<int64_t>(block) * call_.kv_heads + work.kv_head) * call_.tokens_per_block +
          token % call_.tokens_per_block;
      const int line = static_cast<int>(row * C::kRowBytes / kLine);
      const uint32_t to = device::shared_address(shared_.ring[position_.slot][0]) + lane * bytes;
      device::tma_load(to, &k_map_, full, 0, line, device::L2Policy::kEvictFirst);
      device::tma_load(to + C::kTensorBytes, &v_map_, full, 0, line, device::L2Policy::kEvictFirst);
    }
    position_.advance(C::kDepth);
  }

  const AttentionCall& call_;
  const DecodeParams& params_;
  const CUtensorMap& k_map_;
  const CUtensorMap& v_map_;
  const int split_, boxes_;
  Shared<C>& shared_;
  device::RingPosition position_;
  int blocks_ = 0;
};

// The warp's tokens of every stage of this CTA. `source` may put what the cache lacks into a stage.
template <typename C, typename Source>
__device__ __forceinline__ void stream(device::State<C>& state, const device::Queries<C>& queries,
                                       const Source& source, const device::Work& work, int split,
                                       device::RingPosition& position, Shared<C>& shared) {
  using Product = typename C::Product;
  const StageRange stages = stages_of<C>(work.keys);
#pragma unroll 1
  for (int stage = work.turn; stage < stages.count; stage += split) {
    const int token =
        (stages.first + stage) * C::kStageTokens + static_cast<int>(threadIdx.x) / 32 * C::kStep;
    device::wait_barrier(device::shared_address(&shared.full[position.slot]), position.parity);
    auto& tensors = shared.ring[position.slot];
    source.complete(tensors, token, work);
    float logits[C::kSixteens][2][4] = {};
#pragma unroll
    for (int i = 0; i < C::kSixteens; ++i) {
      device::Keys<C> keys;
      keys.load(tensors[0], i);
      device::score<C>(logits[i], queries, keys);
    }
    device::Values<C> values[C::kSixteens];
#pragma unroll
    for (int i = 0; i < C::kSixteens; ++i) values[i].load(tensors[1], i);
    __syncwarp();
    if (threadIdx.x % 32 == 0) device::arrive(device::shared_address(&shared.empty[position.slot]));
    position.advance(C::kDepth);
    if (token >= work.keys.end || token + C::kStep <= work.keys.first) continue;
    const bool whole = token >= work.keys.first && token + C::kStep <= work.keys.end;
    device::softmax_step<C>(state, logits, queries.scale, token, work.keys, whole);
#pragma unroll
    for (int i = 0; i < C::kSixteens; ++i) {
      if (!whole) values[i].mask(token + i * 16, work.keys);
      const float(&l)[2][4] = logits[i];
      device::accumulate<C>(state,
                            {Product::pack(l[0][0], l[0][1]), Product::pack(l[0][2], l[0][3]),
                             Product::pack(l[1][0], l[1][1]), Product::pack(l[1][2], l[1][3])},
                            values[i]);
    }
  }
}

// Puts the warp's state into shared memory, the columns where they belong.
template <typename C>
__device__ __forceinline__ void publish(const device::State<C>& state, int group,
                                        Shared<C>& shared) {
  const int warp = threadIdx.x / 32;
  const int row = threadIdx.x % 32 / 4;
  const int t = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < C::kHalves; ++half) {
    const float total = device::quad_sum(state.total[half]);
    if (t == 0) {
      shared.largest[warp][row + half * 8] = state.largest[half];
      shared.total[warp][row + half * 8] = total;
    }
  }
#pragma unroll
  for (int i = 0; i < C::kOutputs; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int head, column;
      if constexpr (C::kNarrow) {
        head = 2 * t + j % 2;
        column = i * 16 + (C::Product::kHalf ? 2 * row + j / 2 : row + j / 2 * 8);
      } else {
        head = row + j / 2 * 8;
        const int across = 2 * t + j % 2;
        column = C::Product::kHalf ? i / 2 * 16 + 2 * across + i % 2 : i * 8 + across;
      }
      if (head < group) shared.output[warp][head][column] = state.output[i][j];
    }
  }
}

// How much each of several partial results counts, from their maxima.
__device__ __forceinline__ void add_scaled(float4& sum, float weight, const float4& values) {
  sum.x += weight * values.x, sum.y += weight * values.y;
  sum.z += weight * values.z, sum.w += weight * values.w;
}

// Merges query rows over the warps of the CTA and the CTAs of the cluster. Every CTA owns a share
// of a row's columns: what the others send it waits while the next row is streamed.
template <typename C>
class Merger {
 public:
  __device__ __forceinline__ Merger(const AttentionCall& call, int split, Shared<C>& shared)
      : call_(call),
        split_(split),
        rank_(static_cast<int>(device::cluster_rank())),
        group_(call.heads / call.kv_heads),
        share_(group_ * C::kHeadDim / split),
        v_scale_(call.v_scale != nullptr ? *call.v_scale : 1.0f),
        output_scale_(call.output_scale != nullptr ? *call.output_scale : 1.0f),
        shared_(shared) {}

  __device__ __forceinline__ void add(const device::State<C>& state, const device::Work& work) {
    finish();  // also: `output` is read
    publish<C>(state, group_, shared_);
    sync_consumers();
    send();
    row_ = work.row;
    kv_head_ = work.kv_head;
    turn_ = work.turn;
    pending_ = true;
  }

  // Stores the row that is still on its way.
  __device__ __forceinline__ void finish() {
    if (!pending_) return;
    device::wait_barrier(device::shared_address(&shared_.received[buffer_]), parity_);
    for (int i = 4 * threadIdx.x; i < share_; i += 4 * kMathThreads) store_columns(i);
    pending_ = false;
    buffer_ ^= 1;
    parity_ ^= buffer_ ^ 1;
    sync_consumers();
  }

 private:
  // One barrier of the consumers alone.
  __device__ __forceinline__ static void sync_consumers() { device::wait_named(1, kMathThreads); }

  __device__ __forceinline__ float largest_of(int head) const {
    float largest = shared_.largest[0][head];
#pragma unroll
    for (int warp = 1; warp < kConsumers; ++warp)
      largest = fmaxf(largest, shared_.largest[warp][head]);
    return largest;
  }

  __device__ __forceinline__ void send() {
    const uint32_t barrier = device::shared_address(&shared_.received[buffer_]);
    if (threadIdx.x == 0) device::arrive_expecting(barrier, split_ * (share_ * 4 + group_ * 8));
    for (int i = threadIdx.x; i < group_ * split_; i += kMathThreads) {
      const int head = i / split_;
      const int peer = i % split_;
      const float largest = largest_of(head);
      float total = 0.0f;
#pragma unroll
      for (int warp = 0; warp < kConsumers; ++warp)
        total +=
            device::weight_of(shared_.largest[warp][head], largest) * shared_.total[warp][head];
      const uint32_t to = device::shared_address(&shared_.weights[buffer_][rank_][head]);
      device::store_to_peer(device::peer_address(to, peer), make_float2(largest, total),
                            device::peer_address(barrier, peer));
    }
    for (int i = 4 * threadIdx.x; i < group_ * C::kHeadDim; i += 4 * kMathThreads) {
      const int head = i / C::kHeadDim;
      const float largest = largest_of(head);
      float4 sum = {};
#pragma unroll
      for (int warp = 0; warp < kConsumers; ++warp)
        add_scaled(sum, device::weight_of(shared_.largest[warp][head], largest),
                   reinterpret_cast<const float4&>(shared_.output[warp][head][i % C::kHeadDim]));
      const int peer = i / share_;
      const uint32_t to =
          device::shared_address(&shared_.columns[buffer_][rank_ * share_ + i - peer * share_]);
      device::store_to_peer(device::peer_address(to, peer), sum,
                            device::peer_address(barrier, peer));
    }
  }

  __device__ __forceinline__ void store_columns(int i) {
    const int at = rank_ * share_ + i;  // of the group's columns
    const int head = at / C::kHeadDim;
    const auto& weights = shared_.weights[buffer_];
    float largest = -INFINITY;
#pragma unroll 4
    for (int peer = 0; peer < split_; ++peer) largest = fmaxf(largest, weights[peer][head].x);
    float total = 0.0f;
    float4 sum = {};
#pragma unroll 4
    for (int turn = 0; turn < split_; ++turn) {  // an order that does not follow the work list
      const int peer = (turn + rank_ - turn_) & (split_ - 1);
      const float weight = device::weight_of(weights[peer][head].x, largest);
      total += weight * weights[peer][head].y;
      add_scaled(sum, weight,
                 reinterpret_cast<const float4&>(shared_.columns[buffer_][peer * share_ + i]));
    }
    const float factor = total == 0.0f ? 0.0f : v_scale_ / total;
    const float values[4] = {sum.x * factor, sum.y * factor, sum.z * factor, sum.w * factor};
    const int64_t y =
        row_ * call_.y_stride + static_cast<int64_t>(kv_head_) * group_ * C::kHeadDim + at;
    if (call_.output_scale != nullptr) {
      device::store_codes<__nv_bfloat16>(static_cast<device::e4m3_t*>(call_.y) + y, values,
                                         __frcp_rn(output_scale_));
    } else {
      device::store_floats(static_cast<__nv_bfloat16*>(call_.y) + y, values);
    }
  }

  const AttentionCall& call_;
  const int split_, rank_, group_, share_;
  const float v_scale_, output_scale_;
  Shared<C>& shared_;
  int64_t row_ = 0;
  int kv_head_ = 0, turn_ = 0;
  int buffer_ = 0, parity_ = 0;
  bool pending_ = false;
};

template <typename C>
__device__ __forceinline__ const __nv_bfloat16* queries_of(const AttentionCall& call,
                                                           const device::Work& work) {
  return static_cast<const __nv_bfloat16*>(call.q) + work.row * call.q_stride +
         static_cast<int64_t>(work.kv_head) * (call.heads / call.kv_heads) * C::kHeadDim;
}

// Where a kernel's rows come from: here from rotated queries and a cache that is whole.
template <typename C>
struct StoredRows {
  const AttentionCall& call;

  // What may be read of a row before the predecessor's end, and that end.
  __device__ __forceinline__ void look(const device::Work&) {}
  __device__ __forceinline__ void start() {}
  __device__ __forceinline__ void fetch(device::Queries<C>& queries, const device::Work& work) {
    queries.fetch(queries_of<C>(call, work), call.heads / call.kv_heads);
  }
  __device__ __forceinline__ void rotate(device::Queries<C>&, const device::Work&) {}
  __device__ __forceinline__ void complete(uint8_t (&)[2][C::kTensorBytes], int,
                                           const device::Work&) const {}
};

// The consumers' part of a kernel.
template <typename C, typename Source>
__device__ __forceinline__ void consume(const AttentionCall& call, device::WorkList& list,
                                        int split, Source& source, Shared<C>& shared) {
  const float softmax_scale =
      call.softmax_scale * device::kLog2E * (call.k_scale != nullptr ? *call.k_scale : 1.0f);
  Merger<C> merger(call, split, shared);
  device::RingPosition position;
  device::Work work;
  device::Queries<C> queries;
  bool more = list.next(work);
  if (more) source.look(work);
  source.start();
  if (more) source.fetch(queries, work);
  bool alone = true;  // the other CTAs of the cluster may not have started
  while (more) {
    source.rotate(queries, work);
    queries.prepare(softmax_scale);
    device::State<C> state;
    stream<C>(state, queries, source, work, split, position, shared);
    const device::Work done = work;
    more = list.next(work);
    if (more) {
      source.look(work);
      source.fetch(queries, work);
    }
    // Not earlier: waiting CTAs of the next kernel would hold the shared memory that this one's
    // own CTAs spread over.
    if (!more) device::launch_dependents();
    if (alone) device::cluster_wait();
    alone = false;
    merger.add(state, done);
  }
  if (alone) device::cluster_wait();
  merger.finish();
}

// Zeroes the rows that no sequence owns: rows `first`, first + stride, … by one warp.
__device__ __forceinline__ void zero_unowned_rows(const AttentionCall& call, int first,
                                                  int stride) {
  const int lane = threadIdx.x % 32;
  for (int64_t row = first; row < call.tokens; row += stride) {
    if (call.query_length[row] > 0 && call.query_start[row] == row) continue;
    bool owned = false;
    for (int s = lane; s < call.sequences; s += 32) {
      const int64_t start = call.query_start[s];
      owned |= row >= start && row < start + call.query_length[s];
    }
    if (__any_sync(0xFFFFFFFFu, owned)) continue;
    const int element = call.output_scale != nullptr ? 1 : 2;
    auto* y = static_cast<std::byte*>(call.y) + row * call.y_stride * element;
    for (int i = lane; i < call.heads * call.head_dim * element / 4; i += 32)
      reinterpret_cast<uint32_t*>(y)[i] = 0;
  }
}

template <typename C>
__device__ __forceinline__ void init_barriers(Shared<C>& shared) {
  for (int i = 0; i < C::kDepth; ++i) {
    device::init_barrier(device::shared_address(&shared.full[i]), 1);
    device::init_barrier(device::shared_address(&shared.empty[i]), kConsumers);
  }
  for (uint64_t& barrier : shared.received)
    device::init_barrier(device::shared_address(&barrier), 1);
  device::publish_barriers();
}

// A cache as lines of 128 bytes, copied `box_tokens` tokens at a time.
inline CUtensorMap cache_map(const AttentionCall& call, const std::byte* cache, int row_bytes,
                             int box_tokens) {
  TensorMapSpec spec;
  spec.data = cache;
  spec.sizes[0] = kLine;
  spec.sizes[1] = static_cast<uint64_t>(call.cache_blocks) * call.kv_heads * call.tokens_per_block *
                  row_bytes / kLine;
  spec.strides[0] = kLine;
  spec.box[0] = kLine;
  spec.box[1] = static_cast<uint32_t>(box_tokens * row_bytes / kLine);
  return make_tensor_map(spec);
}

// Whether a launch may start while its predecessor runs. Its CTAs then crowd on the multiprocessors
// that are left first, two on one: worth it only where half of the multiprocessors suffice, or
// where all places are taken in any case.
inline bool starts_early(int clusters, int resident) {
  return clusters * 4 <= resident || clusters * 8 >= resident * 7;
}

// Behind `sort`.
template <typename C>
__device__ __forceinline__ const device::LengthOrder* order_of(const DecodeParams& params,
                                                               const Shared<C>& shared) {
  if constexpr (C::kOnePair)
    return nullptr;
  else
    return params.sorted ? &shared.order : nullptr;
}

template <typename C>
__device__ __forceinline__ void sort(const DecodeParams& params, Shared<C>& shared) {
  if constexpr (!C::kOnePair) {
    if (params.sorted) shared.order.sort(params.sequences);
  }
}

// What both kernels are launched with.
struct DecodeLaunch {
  Grid grid;
  DecodeParams params;
  bool early;  // may start while its predecessor runs, where launches are programmatic
};

// `shared_bytes`: what the kernel needs; more keeps a second CTA off a multiprocessor.
template <typename C, typename... Params>
DecodeLaunch decode_launch(void (*kernel)(Params...), const AttentionCall& call,
                           const DecodePlan& plan, int shared_bytes) {
  constexpr int kHalfAnd = 115 << 10;  // of a multiprocessor's shared memory
  const int64_t pairs = int64_t{call.sequences} * call.kv_heads;
  DecodeLaunch made;
  Grid& grid = made.grid;
  grid.threads = kThreads;
  grid.cluster = plan.split;
  grid.blocks = dim3(static_cast<unsigned>(pairs * plan.split));
  const bool alone = plan.start == DecodeStart::kAlone;
  grid.shared_bytes = alone ? std::max(shared_bytes, kHalfAnd) : shared_bytes;
  allow_shared_memory(kernel, grid.shared_bytes);
  if (plan.split > 8)
    OCTAVO_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  const int resident = std::max(resident_clusters(kernel, grid), 1);
  const int clusters = static_cast<int>(std::min<int64_t>(pairs, resident));
  grid.blocks = dim3(static_cast<unsigned>(clusters * plan.split));
  made.params = {.sequences = {.query_start = call.query_start,
                               .query_length = call.query_length,
                               .kv_length = call.kv_length,
                               .count = call.sequences,
                               .least_queries = plan.queries.least,
                               .most_queries = plan.queries.most,
                               .window = call.window},
                 .box_tokens = std::gcd(C::kStageTokens, call.tokens_per_block),
                 .sorted = pairs > clusters && call.sequences <= device::LengthOrder::kMost,
                 .zero_rows = plan.zero_rows,
                 .keys_let_in = plan.keys_let_in};
  made.early = plan.start != DecodeStart::kUsual || starts_early(clusters, resident);
  return made;
}

// Calls `launch` with an object of the configuration that the call and the plan ask for.
template <typename Cache, int kHeadDim, typename Function>
void with_config(const AttentionCall& call, const DecodePlan& plan, Function&& launch) {
  using Narrow = Config<Cache, kHeadDim, true>;
  // Three stages of 64 keys are a CTA's share of a context of 3072.
  constexpr int kShort = std::min(3, Narrow::kDepth);
  if (call.heads / call.kv_heads > 8) return launch(Config<Cache, kHeadDim, false>{});
  if (plan.short_ring) return launch(OnePairConfig<Narrow, kShort>{});
  if (plan.keys_let_in) return launch(OnePairConfig<Narrow, Narrow::kDepth>{});
  launch(Narrow{});
}

// Every row of q and y starts on a multiple of four elements. Others are rare enough to be slow.
inline bool rows_in_fours(const AttentionCall& call) {
  const auto fours = [](const void* data, int64_t stride, size_t element) {
    return reinterpret_cast<uintptr_t>(data) % (4 * element) == 0 && stride % 4 == 0;
  };
  return fours(call.q, call.q_stride, 2) &&
         fours(call.y, call.y_stride, call.output_scale != nullptr ? 1 : 2);
}

}  // namespace octavo::cuda::decode
