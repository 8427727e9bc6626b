// Decode attention: a sequence's keys and values of one KV head, streamed once for all its heads.
// SPDX-License-Identifier: Apache-2.0
//
// A warp copies the 16-byte pieces that its lanes will feed to the tensor cores, so that nothing
// but the warp is synchronised until the partial results are merged.
#include <algorithm>

#include "backend/cuda/attention/attention.h"
#include "backend/cuda/device/attention.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/vector.cuh"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kStep = 16;  // tokens that a warp takes at a time
constexpr int kMaxSplit = 8;

// Up to 8 query heads a KV head are `narrow`: the values are then the tall side of their product,
// which halves its instructions and registers.
template <typename CacheType, int kDim, bool kIsNarrow>
struct Config {
  using Cache = CacheType;
  using Product = device::Product<Cache>;
  static constexpr int kHeadDim = kDim;
  static constexpr bool kNarrow = kIsNarrow;
  static constexpr int kHeads = kNarrow ? 8 : 16;  // of a group, padded
  static constexpr int kHalves = kHeads / 8;       // query rows of a thread
  static constexpr int kElement = sizeof(Cache);
  static constexpr int kRowBytes = kHeadDim * kElement;
  static constexpr int kKPieces = kRowBytes / 64;  // of 16 bytes, of one token, of one thread
  static constexpr int kVBytes = kRowBytes / 8 < 16 ? kRowBytes / 8 : 16;
  static constexpr int kVPieces = kRowBytes / (8 * kVBytes);
  static constexpr int kVElements = kVBytes / kElement;
  static constexpr int kPieces = 2 * kKPieces + 4 * kVPieces;  // of one step
  static constexpr int kStageBytes = kPieces * kThreads * 16;
  static constexpr int kDepth = kStageBytes >= 32768 ? 2 : 49152 / kStageBytes;
  static constexpr int kProducts = kHeadDim / 16;  // q · k instructions of eight tokens
  static constexpr int kOutputs = kHeadDim / (kNarrow ? 16 : 8);  // accumulators of four
  static constexpr int kCtasPerSm = kNarrow && kStageBytes < 32768 ? 4 : 3;
};

// After the loop the ring is reused for the merge.
template <typename C>
union Shared {
  uint4 ring[C::kDepth][C::kPieces][kThreads];
  struct {
    float output[kWarps][C::kHeads][C::kHeadDim];
    float largest[kWarps][C::kHeads], total[kWarps][C::kHeads];
    float cta_output[C::kHeads][C::kHeadDim];
    float cta_largest[C::kHeads], cta_total[C::kHeads];
  } merge;
};

// Read at once at the start, so that their latencies overlap.
struct Scalars {
  int start, queries, length;
  float k_scale, v_scale, output_scale;
};

__device__ __forceinline__ Scalars read_scalars(const AttentionCall& call) {
  const int sequence = blockIdx.z;
  return {.start = call.query_start[sequence],
          .queries = call.query_length[sequence],
          .length = call.kv_length[sequence],
          .k_scale = call.k_scale != nullptr ? *call.k_scale : 1.0f,
          .v_scale = call.v_scale != nullptr ? *call.v_scale : 1.0f,
          .output_scale = call.output_scale != nullptr ? *call.output_scale : 1.0f};
}

// One query row of the sequence, and where its keys are.
struct Row {
  int64_t token;  // row of q and y
  device::KeyRange keys;
  const int32_t* blocks;
  int head;          // first query head
  int early_blocks;  // the blocks of the lane's steps, read ahead for keys.first = 0
};

// The steps of one warp: warps of all CTAs of the cluster take turns.
struct Steps {
  int first;  // in units of kStep tokens
  int stride;
  int count;
};

// The block of step first + index × stride; what lies past the sequence is not used.
__device__ __forceinline__ int block_of(const AttentionCall& call, const int32_t* blocks, int first,
                                        int stride, int index) {
  const int at = (first + index * stride) * kStep / call.tokens_per_block;
  return at < call.table_width ? blocks[at] : 0;
}

// Keys and values on their way into the thread's own slots.
template <typename C>
class KvStream {
 public:
  __device__ __forceinline__ KvStream(const AttentionCall& call, const Row& row, const Steps& steps,
                                      Shared<C>& shared)
      : call_(call), row_(row), steps_(steps), shared_(shared), blocks_(row.early_blocks) {
    if (call.window > 0) read_blocks();
  }

  // Requests step `next_` into `slot`; an empty group where there is none left.
  __device__ __forceinline__ void request(int slot) {
    if (next_ % 32 == 0 && next_ > 0) read_blocks();
    const int block = __shfl_sync(0xFFFFFFFFu, blocks_, next_ % 32);
    if (next_ < steps_.count) copy(slot, block, (steps_.first + next_ * steps_.stride) * kStep);
    device::commit_copies();
    ++next_;
  }

  __device__ __forceinline__ uint4 k_piece(int slot, int eight, int piece) const {
    return shared_.ring[slot][eight * C::kKPieces + piece][threadIdx.x];
  }
  __device__ __forceinline__ uint4 v_piece(int slot, int token, int piece) const {
    return shared_.ring[slot][2 * C::kKPieces + token * C::kVPieces + piece][threadIdx.x];
  }

 private:
  // Lane l keeps the block of step next_ + l.
  __device__ __forceinline__ void read_blocks() {
    blocks_ = block_of(call_, row_.blocks, steps_.first, steps_.stride,
                       next_ + static_cast<int>(threadIdx.x % 32));
  }

  __device__ __forceinline__ void copy(int slot, int block, int token) {
    const int lane = threadIdx.x % 32;
    const int64_t base =
        ((static_cast<int64_t>(block) * call_.kv_heads + blockIdx.y) * call_.tokens_per_block +
         token % call_.tokens_per_block) *
        C::kRowBytes;
    // Lanes copy whole lines of consecutive keys; each piece goes to the slot of the lane that uses
    // it.
    constexpr int kRowPieces = C::kRowBytes / 16;
#pragma unroll
    for (int i = 0; i < 2 * C::kKPieces; ++i) {
      const int index = i * 32 + lane;
      const int at = index / kRowPieces;
      const int part = index % kRowPieces;
      uint4* to = &shared_.ring[slot][at / 8 * C::kKPieces + part / 4]
                               [threadIdx.x - lane + at % 8 * 4 + part % 4];
      device::copy_async_16(to, call_.k_cache + base + at * C::kRowBytes + part * 16,
                            token + at < row_.keys.end);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = lane % 4 * 2 + i % 2 + i / 2 * 8;
      const std::byte* v = call_.v_cache + base + at * C::kRowBytes + lane / 4 * C::kVBytes;
#pragma unroll
      for (int piece = 0; piece < C::kVPieces; ++piece)
        device::copy_async<C::kVBytes>(
            &shared_.ring[slot][2 * C::kKPieces + i * C::kVPieces + piece][threadIdx.x],
            v + piece * 128, token + at < row_.keys.end);
    }
  }

  const AttentionCall& call_;
  const Row& row_;
  const Steps& steps_;
  Shared<C>& shared_;
  int blocks_;
  int next_ = 0;
};

// The group's queries in the layout of the tensor cores: rows lane / 4 and lane / 4 + 8.
template <typename C>
struct Queries {
  uint32_t a[C::kProducts][4] = {};
  float scale[C::kHalves];  // logits in base 2

  __device__ __forceinline__ void load(const AttentionCall& call, const Row& row, float k_scale) {
    using Product = typename C::Product;
    const int lane = threadIdx.x % 32;
    const int group = call.heads / call.kv_heads;
#pragma unroll
    for (int half = 0; half < C::kHalves; ++half) {
      const int head = lane / 4 + half * 8;
      const auto* q = static_cast<const __nv_bfloat16*>(call.q) + row.token * call.q_stride +
                      (row.head + head) * C::kHeadDim;
      float values[C::kProducts][4];
      float largest = 0.0f;
#pragma unroll
      for (int i = 0; i < C::kProducts; ++i) {
        // The columns whose keys the thread holds: words of 4 bytes of its 16-byte pieces.
        const int column = Product::kHalf ? i / 4 * 64 + lane % 4 * 16 + i % 4 * 4
                                          : i / 2 * 32 + lane % 4 * 8 + i % 2 * 4;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          values[i][j] = head < group ? device::to_float(q[column + j]) : 0.0f;
          largest = fmaxf(largest, fabsf(values[i][j]));
        }
      }
      const float factor = Product::kHalf ? device::normalizer(device::quad_max(largest)) : 1.0f;
#pragma unroll
      for (int i = 0; i < C::kProducts; ++i) {
        a[i][half] = Product::pack(values[i][0] * factor, values[i][1] * factor);
        a[i][2 + half] = Product::pack(values[i][2] * factor, values[i][3] * factor);
      }
      scale[half] = call.softmax_scale * device::kLog2E * k_scale / factor;
    }
  }
};

// What one warp has seen so far: running maximum, sum of weights, weighted sum of values. Narrow
// outputs have columns down and heads across, the others heads down and columns across.
template <typename C>
struct State {
  float largest[C::kHalves];
  float total[C::kHalves] = {};  // of this thread's tokens
  float output[C::kOutputs][4] = {};

  __device__ __forceinline__ State() {
#pragma unroll
    for (float& value : largest) value = -INFINITY;
  }

  // Multiplies what was summed for the thread's query rows by `factor`.
  __device__ __forceinline__ void rescale(const float (&factor)[C::kHalves]) {
    float across[2], down[2];
    if constexpr (C::kNarrow) {
      const int head = threadIdx.x % 4 * 2;  // lane 4 h has the factor of head h
      across[0] = __shfl_sync(0xFFFFFFFFu, factor[0], head * 4);
      across[1] = __shfl_sync(0xFFFFFFFFu, factor[0], head * 4 + 4);
      down[0] = down[1] = 1.0f;
    } else {
      across[0] = across[1] = 1.0f;
      down[0] = factor[0], down[1] = factor[C::kHalves - 1];
    }
#pragma unroll
    for (int i = 0; i < C::kOutputs; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) output[i][j] *= C::kNarrow ? across[j % 2] : down[j / 2];
    }
  }
};

template <typename C>
__device__ __forceinline__ void score(float (&logits)[2][4], const Queries<C>& queries,
                                      const KvStream<C>& kv, int slot) {
  using Product = typename C::Product;
  float odd[2][4] = {};  // two chains of products instead of one
#pragma unroll
  for (int eight = 0; eight < 2; ++eight) {
#pragma unroll
    for (int piece = 0; piece < C::kKPieces; ++piece) {
      const uint4 k = kv.k_piece(slot, eight, piece);
      const uint32_t words[4] = {k.x, k.y, k.z, k.w};
      if constexpr (Product::kHalf) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          Product::mma(j % 2 == 0 ? logits[eight] : odd[eight], queries.a[piece * 4 + j],
                       device::decode_low_half2(words[j]), device::decode_high_half2(words[j]));
      } else {
#pragma unroll
        for (int j = 0; j < 2; ++j)
          Product::mma(j % 2 == 0 ? logits[eight] : odd[eight], queries.a[piece * 2 + j],
                       words[2 * j], words[2 * j + 1]);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) logits[eight][i] += odd[eight][i];
  }
}

// Turns logits into weights and rescales what was summed with an older maximum.
template <typename C>
__device__ __forceinline__ void softmax_step(State<C>& state, float (&logits)[2][4],
                                             const float (&scale)[C::kHalves], int token,
                                             const device::KeyRange& keys) {
  const int first = token + threadIdx.x % 4 * 2;
  float factor[C::kHalves];
  bool changed = false;
#pragma unroll
  for (int half = 0; half < C::kHalves; ++half) {
    float largest = state.largest[half];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& logit = logits[i / 2][half * 2 + i % 2];
      const int at = first + i / 2 * 8 + i % 2;
      logit = at >= keys.first && at < keys.end ? logit * scale[half] : -INFINITY;
      largest = fmaxf(largest, logit);
    }
    largest = device::quad_max(largest);
    const float base = largest == -INFINITY ? 0.0f : largest;
    factor[half] = device::exp2_approximate(state.largest[half] - base);
    changed |= largest != state.largest[half];
    state.largest[half] = largest;
    state.total[half] *= factor[half];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& weight = logits[i / 2][half * 2 + i % 2];
      weight = device::exp2_approximate(weight - base);
      state.total[half] += weight;
    }
  }
  if (__any_sync(0xFFFFFFFFu, changed)) state.rescale(factor);
}

// Adds the products of weights with two neighbouring columns, whose values for the thread's tokens
// are (first[0], first[1]) and (second[0], second[1]).
template <typename C>
__device__ __forceinline__ void add_columns(State<C>& state, int column,
                                            const float (&weights)[2][4],
                                            const uint32_t (&first)[2],
                                            const uint32_t (&second)[2]) {
  using Product = typename C::Product;
  if constexpr (C::kNarrow) {
    const uint32_t values[4] = {first[0], second[0], first[1], second[1]};
    Product::mma(state.output[column / 2], values, Product::pack(weights[0][0], weights[0][1]),
                 Product::pack(weights[1][0], weights[1][1]));
  } else {
    const uint32_t a[4] = {
        Product::pack(weights[0][0], weights[0][1]), Product::pack(weights[0][2], weights[0][3]),
        Product::pack(weights[1][0], weights[1][1]), Product::pack(weights[1][2], weights[1][3])};
    Product::mma(state.output[column], a, first[0], first[1]);
    Product::mma(state.output[column + 1], a, second[0], second[1]);
  }
}

template <typename C>
__device__ __forceinline__ void accumulate(State<C>& state, const float (&weights)[2][4],
                                           const KvStream<C>& kv, int slot) {
#pragma unroll
  for (int piece = 0; piece < C::kVPieces; ++piece) {
    uint32_t words[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint4 v = kv.v_piece(slot, i, piece);
      words[i][0] = v.x, words[i][1] = v.y, words[i][2] = v.z, words[i][3] = v.w;
    }
#pragma unroll
    for (int word = 0; word < C::kVBytes / 4; ++word) {
      // Pairs of tokens come together: the tensor core wants neighbours in k in one register.
      const int column = (piece * C::kVBytes / 4 + word) * 4 / C::kElement;
      const auto pair = [&](int first, uint32_t selector) {
        return __byte_perm(words[first][word], words[first + 1][word], selector);
      };
      if constexpr (C::Product::kHalf) {
        const uint32_t low[2] = {pair(0, 0x5140), pair(2, 0x5140)};
        const uint32_t high[2] = {pair(0, 0x7362), pair(2, 0x7362)};
        add_columns<C>(state, column, weights,
                       {device::decode_low_half2(low[0]), device::decode_low_half2(low[1])},
                       {device::decode_high_half2(low[0]), device::decode_high_half2(low[1])});
        add_columns<C>(state, column + 2, weights,
                       {device::decode_low_half2(high[0]), device::decode_low_half2(high[1])},
                       {device::decode_high_half2(high[0]), device::decode_high_half2(high[1])});
      } else {
        add_columns<C>(state, column, weights, {pair(0, 0x5410), pair(2, 0x5410)},
                       {pair(0, 0x7632), pair(2, 0x7632)});
      }
    }
  }
}

template <typename C>
__device__ __forceinline__ void run_steps(State<C>& state, const AttentionCall& call,
                                          const Row& row, const Steps& steps, float k_scale,
                                          Shared<C>& shared) {
  KvStream<C> kv(call, row, steps, shared);
#pragma unroll 1
  for (int slot = 0; slot < C::kDepth; ++slot) kv.request(slot);
  Queries<C> queries;
  queries.load(call, row, k_scale);
  int slot = 0;
#pragma unroll 1
  for (int i = 0; i < steps.count; ++i) {
    device::wait_for_copies<C::kDepth - 1>();
    __syncwarp();  // what the other lanes copied is there
    float logits[2][4] = {};
    score<C>(logits, queries, kv, slot);
    softmax_step<C>(state, logits, queries.scale, (steps.first + i * steps.stride) * kStep,
                    row.keys);
    accumulate<C>(state, logits, kv, slot);
    __syncwarp();  // the slot is read
    kv.request(slot);
    if (++slot == C::kDepth) slot = 0;
  }
  device::wait_for_copies<0>();
}

// Puts the warp's state into shared memory. Column index c of a thread's V pieces, for n = 0 … 7,
// is column c / E × 8 E + n × E + c % E, E being the elements of a piece.
template <typename C>
__device__ __forceinline__ void publish(const State<C>& state, Shared<C>& shared) {
  auto& merge = shared.merge;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const auto column = [](int index, int n) {
    return index / C::kVElements * 8 * C::kVElements + n * C::kVElements + index % C::kVElements;
  };
#pragma unroll
  for (int half = 0; half < C::kHalves; ++half) {
    const float total = device::quad_sum(state.total[half]);
    if (lane % 4 == 0) {
      merge.largest[warp][lane / 4 + half * 8] = state.largest[half];
      merge.total[warp][lane / 4 + half * 8] = total;
    }
  }
#pragma unroll
  for (int i = 0; i < C::kOutputs; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int across = lane % 4 * 2 + j % 2;
      if constexpr (C::kNarrow) {
        merge.output[warp][across][column(2 * i + j / 2, lane / 4)] = state.output[i][j];
      } else {
        merge.output[warp][lane / 4 + j / 2 * 8][column(i, across)] = state.output[i][j];
      }
    }
  }
}

__device__ __forceinline__ void store_value(const AttentionCall& call, int64_t at, float value,
                                            float output_scale) {
  if (call.output_scale != nullptr) {
    device::store_codes<__nv_bfloat16, 1>(static_cast<device::e4m3_t*>(call.y) + at, {value},
                                          __frcp_rn(output_scale));
  } else {
    static_cast<__nv_bfloat16*>(call.y)[at] = __float2bfloat16_rn(value);
  }
}

__device__ __forceinline__ float from_peer(const float& own, int peer) {
  return device::load_from_peer(device::shared_address(&own), peer);
}

// Partial results of several warps or CTAs, as one: kCount of them, each a maximum, a sum of
// weights and a value.
template <int kCount>
struct Partials {
  float largest[kCount], totals[kCount], values[kCount];

  __device__ __forceinline__ void merge(float& most, float& total, float& value) const {
    most = -INFINITY, total = 0.0f, value = 0.0f;
#pragma unroll
    for (int i = 0; i < kCount; ++i) most = fmaxf(most, largest[i]);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const float weight = device::weight_of(largest[i], most);
      total += weight * totals[i];
      value += weight * values[i];
    }
  }
};

// Merges the warps of the CTA, then the CTAs of the cluster, and stores the row.
template <typename C>
__device__ __forceinline__ void merge_and_store(const AttentionCall& call, const Row& row,
                                                const Scalars& scalars, int split,
                                                Shared<C>& shared) {
  auto& merge = shared.merge;
  const int elements = call.heads / call.kv_heads * C::kHeadDim;
  const int64_t y = row.token * call.y_stride + row.head * C::kHeadDim;
  float most, total, value;
  for (int i = threadIdx.x; i < elements; i += kThreads) {
    const int head = i / C::kHeadDim;
    Partials<kWarps> warps;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
      warps.largest[warp] = merge.largest[warp][head];
      warps.totals[warp] = merge.total[warp][head];
      warps.values[warp] = merge.output[warp][head][i % C::kHeadDim];
    }
    warps.merge(most, total, value);
    if (split == 1) {
      store_value(call, y + i, value / total * scalars.v_scale, scalars.output_scale);
    } else {
      merge.cta_output[head][i % C::kHeadDim] = value;
      merge.cta_largest[head] = most;
      merge.cta_total[head] = total;
    }
  }
  if (split == 1) return;
  device::cluster_sync();
  const int share = elements / split;  // a multiple of 8: head_dim over at most 8 CTAs
  const int first = static_cast<int>(device::cluster_rank()) * share;
  for (int i = first + threadIdx.x; i < first + share; i += kThreads) {
    const int head = i / C::kHeadDim;
    Partials<kMaxSplit> peers;
#pragma unroll
    for (int peer = 0; peer < kMaxSplit; ++peer) {
      const bool present = peer < split;
      peers.largest[peer] = present ? from_peer(merge.cta_largest[head], peer) : -INFINITY;
      peers.totals[peer] = present ? from_peer(merge.cta_total[head], peer) : 0.0f;
      peers.values[peer] =
          present ? from_peer(merge.cta_output[head][i % C::kHeadDim], peer) : 0.0f;
    }
    peers.merge(most, total, value);
    store_value(call, y + i, value / total * scalars.v_scale, scalars.output_scale);
  }
  device::cluster_sync();  // a peer may still read this CTA's sums
}

// Zeroes the heads of this CTA in row blockIdx.z where no sequence owns that row.
__device__ void zero_unowned_row(const AttentionCall& call) {
  const int64_t row = blockIdx.z;
  bool owned = false;
  for (int s = threadIdx.x; s < call.sequences; s += kThreads) {
    const int64_t start = call.query_start[s];
    owned |= row >= start && row < start + call.query_length[s];
  }
  if (__syncthreads_or(owned)) return;
  const int elements = call.heads / call.kv_heads * call.head_dim;
  const int64_t y = row * call.y_stride + blockIdx.y * elements;
  for (int i = threadIdx.x; i < elements; i += kThreads) store_value(call, y + i, 0.0f, 1.0f);
}

template <typename C>
__global__ void __launch_bounds__(kThreads, C::kCtasPerSm)
    attention_decode_kernel(const __grid_constant__ AttentionCall call, DecodePlan plan) {
  extern __shared__ uint4 storage[];
  auto& shared = *reinterpret_cast<Shared<C>*>(storage);
  device::wait_for_dependencies();
  const Scalars scalars = read_scalars(call);
  const int sequence = blockIdx.z;
  const int turn = blockIdx.x * kWarps + threadIdx.x / 32;
  const int turns = plan.split * kWarps;
  const int32_t* blocks = call.block_table + sequence * call.table_stride;
  const int early_blocks = block_of(call, blocks, turn, turns, static_cast<int>(threadIdx.x % 32));
  if (plan.zero_rows && blockIdx.x == 0 && (scalars.queries == 0 || scalars.start != sequence))
    zero_unowned_row(call);
  // The whole cluster leaves alike.
  if (scalars.queries < plan.queries.least || scalars.queries > plan.queries.most) return;
  for (int i = 0; i < scalars.queries; ++i) {
    const Row row = {
        .token = scalars.start + i,
        .keys = device::visible_keys(scalars.length - scalars.queries + i, call.window),
        .blocks = blocks,
        .head = static_cast<int>(blockIdx.y) * (call.heads / call.kv_heads),
        .early_blocks = early_blocks};
    const int first = row.keys.first / kStep;
    const int all = (row.keys.end + kStep - 1) / kStep - first;
    const Steps steps = {
        .first = first + turn, .stride = turns, .count = (all - turn + turns - 1) / turns};
    State<C> state;
    run_steps<C>(state, call, row, steps, scalars.k_scale, shared);
    // Not earlier: waiting CTAs of the next kernel would hold the shared memory that this one's
    // own CTAs spread over.
    device::launch_dependents();
    __syncthreads();  // the ring becomes the merge area
    publish<C>(state, shared);
    __syncthreads();
    merge_and_store<C>(call, row, scalars, plan.split, shared);
    __syncthreads();
  }
}

template <typename C>
void launch_config(const AttentionCall& call, const DecodePlan& plan, const Launch& where) {
  const auto kernel = attention_decode_kernel<C>;
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = plan.split;
  grid.blocks = dim3(static_cast<unsigned>(plan.split), static_cast<unsigned>(call.kv_heads),
                     static_cast<unsigned>(call.sequences));
  grid.shared_bytes = sizeof(Shared<C>);
  allow_shared_memory(kernel, grid.shared_bytes);
  const bool early = where.programmatic && decode_starts_early(call, plan.split);
  launch({where.stream, early}, grid, kernel, call, plan);
}

template <typename Cache, int kHeadDim>
void launch_decode(const AttentionCall& call, const DecodePlan& plan, const Launch& where) {
  if (call.heads / call.kv_heads <= 8)
    return launch_config<Config<Cache, kHeadDim, true>>(call, plan, where);
  launch_config<Config<Cache, kHeadDim, false>>(call, plan, where);
}

}  // namespace

int decode_split(int sequences, int kv_heads, int multiprocessors) {
  // Measured: once there is about a CTA for every multiprocessor, more only add to merge.
  int split = 1;
  while (split < kMaxSplit && sequences * kv_heads * split * 10 < 9 * multiprocessors) split *= 2;
  return split;
}

void launch_attention_decode(const AttentionCall& call, const DecodePlan& plan,
                             const Launch& where) {
  const bool codes = call.cache == DType::kE4M3;
  if (call.head_dim == 128) {
    if (codes) return launch_decode<device::e4m3_t, 128>(call, plan, where);
    return launch_decode<__nv_bfloat16, 128>(call, plan, where);
  }
  if (codes) return launch_decode<device::e4m3_t, 64>(call, plan, where);
  launch_decode<__nv_bfloat16, 64>(call, plan, where);
}

}  // namespace octavo::cuda
