// Decode attention: a sequence's keys and values of one KV head, streamed once for all its heads.
// SPDX-License-Identifier: Apache-2.0
//
// A producer warp keeps a ring of stages full by TMA; the other warps take 16 tokens of a stage
// each and are not synchronised with each other. The CTAs of a cluster share a query row: each
// streams every `split`-th stage, and they send each other the columns that the other one stores.
#include <algorithm>
#include <numeric>

#include "backend/cuda/attention/attention.h"
#include "backend/cuda/device/attention_schedule.cuh"
#include "backend/cuda/device/ptx/cluster.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/tensor_map.h"

namespace octavo::cuda {
namespace {

constexpr int kConsumers = 4;  // warps
constexpr int kMathThreads = kConsumers * 32;
constexpr int kThreads = kMathThreads + 32;
constexpr int kStep = 16;  // tokens of a stage that a warp takes
constexpr int kStageTokens = kConsumers * kStep;
constexpr int kMaxSplit = 16;
constexpr int kLine = 128;  // bytes of a row of a tensor map: the cache is seen as lines

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
  static constexpr int kKPieces = kRowBytes / 64;  // of 16 bytes, of one key, of one thread
  static constexpr int kVLoads = kRowBytes / 32;   // of 16 tokens by 32 bytes
  static constexpr int kTensorBytes = kStageTokens * kRowBytes;  // k or v of a stage
  static constexpr int kStageBytes = 2 * kTensorBytes;
  static constexpr int kCtasPerSm = kNarrow ? 2 : 1;
  static constexpr int kRestBytes = kHeads * kHeadDim * 24 + kHeads * (256 + 96) + 4096;
  static constexpr int kDepth = ((kCtasPerSm == 1 ? 227 : 113) * 1024 - kRestBytes) / kStageBytes;
  static constexpr int kProducts = kHeadDim / 16;  // q · k instructions of eight tokens
  static constexpr int kOutputs = kHeadDim / (kNarrow ? 16 : 8);  // accumulators of four
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
  device::LengthOrder order;
};

// What the kernel gets beyond the call.
struct DecodeParams {
  device::Sequences sequences;
  int box_tokens;  // of one TMA copy
  bool sorted, zero_rows;
};

// Where a byte of a 128-byte swizzled box is: linear over exclusive or.
__device__ __forceinline__ constexpr uint32_t swizzled(uint32_t offset) {
  return offset ^ ((offset >> 3) & 0x70u);
}
// swizzled(x + offset), given the address of swizzled(x); x and `offset` share no bits.
__device__ __forceinline__ constexpr uint32_t moved(uint32_t address, uint32_t offset) {
  return (address ^ (swizzled(offset) & 0x70u)) + (offset & ~0x7Fu);
}

struct StageRange {
  int first, count;
};
__device__ __forceinline__ StageRange stages_of(const device::KeyRange& keys) {
  const int first = keys.first / kStageTokens;
  return {first, max((keys.end + kStageTokens - 1) / kStageTokens - first, 0)};
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
        boxes_(kStageTokens / params.box_tokens),
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
  }

 private:
  // The block of box `index` + lane of this CTA's stages; what lies past the sequence is not used.
  __device__ __forceinline__ int read_blocks(const device::Work& work, int index) const {
    const int box = index + static_cast<int>(threadIdx.x % 32);
    const int stage = work.keys.first / kStageTokens + work.turn + box / boxes_ * split_;
    const int at =
        (stage * kStageTokens + box % boxes_ * params_.box_tokens) / call_.tokens_per_block;
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
    const StageRange stages = stages_of(work.keys);
    int box = 0;
    for (int stage = work.turn; stage < stages.count; stage += split_) {
      if (box > 0 && box % 32 == 0) blocks_ = read_blocks(work, box);
      request(work, (stages.first + stage) * kStageTokens, box % 32);
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

// The 16-byte piece of a key that lane % 4 = t takes: the two keys that are read in one go must
// meet all banks.
template <typename C>
__device__ __forceinline__ constexpr int key_piece(int t, int piece) {
  if constexpr (C::kRowBytes == 64) return t;
  if constexpr (C::kRowBytes == 128) return 2 * t + piece;
  return (t & 1) | (t & 2) << 1 | (piece & 1) << 1 | (piece & 2) << 2;
}

// The group's queries in the layout of the tensor cores: rows lane / 4 and lane / 4 + 8. Fetched
// ahead of their use.
template <typename C>
class Queries {
 public:
  uint32_t a[C::kProducts][4] = {};
  float scale[C::kHalves];  // logits in base 2

  __device__ __forceinline__ void fetch(const AttentionCall& call, const device::Work& work) {
    const int group = call.heads / call.kv_heads;
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < C::kHalves; ++half) {
      const int head = threadIdx.x % 32 / 4 + half * 8;
      const auto* q = static_cast<const __nv_bfloat16*>(call.q) + work.row * call.q_stride +
                      (work.kv_head * group + head) * C::kHeadDim;
#pragma unroll
      for (int i = 0; i < C::kProducts; ++i) {
        // Four columns: those whose keys the thread holds.
        constexpr int kEach = C::Product::kHalf ? 4 : 2;  // products of a piece
        const int column = key_piece<C>(t, i / kEach) * 4 * kEach + i % kEach * 4;
        fetched_[half][i] = head < group ? *reinterpret_cast<const uint2*>(q + column) : uint2{};
      }
    }
  }

  __device__ __forceinline__ void prepare(float softmax_scale) {
#pragma unroll
    for (int half = 0; half < C::kHalves; ++half) {
      float factor = 1.0f;
      if constexpr (C::Product::kHalf) {
        float largest = 0.0f;
#pragma unroll
        for (int i = 0; i < C::kProducts; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) largest = fmaxf(largest, fabsf(value(half, i, j)));
        }
        factor = device::normalizer(device::quad_max(largest));
      }
#pragma unroll
      for (int i = 0; i < C::kProducts; ++i) {
        if constexpr (C::Product::kHalf) {
          a[i][half] = C::Product::pack(value(half, i, 0) * factor, value(half, i, 1) * factor);
          a[i][2 + half] = C::Product::pack(value(half, i, 2) * factor, value(half, i, 3) * factor);
        } else {
          a[i][half] = fetched_[half][i].x;
          a[i][2 + half] = fetched_[half][i].y;
        }
      }
      scale[half] = softmax_scale / factor;
    }
  }

 private:
  __device__ __forceinline__ float value(int half, int i, int j) const {
    const uint32_t pair = j < 2 ? fetched_[half][i].x : fetched_[half][i].y;
    return __uint_as_float(j % 2 == 0 ? pair << 16 : pair & 0xFFFF0000u);
  }

  uint2 fetched_[C::kHalves][C::kProducts];
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

// 16 tokens of a stage in registers: the keys of tokens lane / 4 and lane / 4 + 8; of the values,
// tokens 2t, 2t + 1, 2t + 8, 2t + 9 with t = lane % 4, in pairs of tokens.
template <typename C>
struct Tokens {
  uint4 k[2][C::kKPieces];
  uint32_t v[C::kVLoads][4];  // 16 bytes of tokens 2t … and 2t + 8 …, then the next 16 bytes

  __device__ __forceinline__ void load_keys(const uint8_t* stage) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key =
        warp_part(stage) + swizzled(lane / 4 * C::kRowBytes + key_piece<C>(lane % 4, 0) * 16);
#pragma unroll
    for (int eight = 0; eight < 2; ++eight) {
#pragma unroll
      for (int piece = 0; piece < C::kKPieces; ++piece)
        k[eight][piece] = device::load_shared_16(
            moved(key, eight * 8 * C::kRowBytes + key_piece<C>(0, piece) * 16));
    }
  }

  __device__ __forceinline__ void load_values(const uint8_t* stage) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t value = warp_part(stage) + swizzled(lane % 16 * C::kRowBytes + lane / 16 * 16);
#pragma unroll
    for (int i = 0; i < C::kVLoads; ++i) device::load_tiles_transposed(v[i], moved(value, i * 32));
  }

  // Values of tokens outside `keys` become zero: a weight of zero does not silence a NaN.
  __device__ __forceinline__ void mask_values(int token, const device::KeyRange& keys) {
    uint32_t mask[2];
#pragma unroll
    for (int eight = 0; eight < 2; ++eight) {
      const int at = token + eight * 8 + threadIdx.x % 4 * 2;
      mask[eight] = (at >= keys.first && at < keys.end ? 0xFFFFu : 0u) |
                    (at + 1 >= keys.first && at + 1 < keys.end ? 0xFFFF0000u : 0u);
    }
#pragma unroll
    for (int i = 0; i < C::kVLoads; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) v[i][j] &= mask[j % 2];
    }
  }

 private:
  __device__ __forceinline__ static uint32_t warp_part(const uint8_t* tensor) {
    return device::shared_address(tensor) + threadIdx.x / 32 * (kStep * C::kRowBytes);
  }
};

template <typename C>
__device__ __forceinline__ void score(float (&logits)[2][4], const Queries<C>& queries,
                                      const Tokens<C>& tokens) {
  using Product = typename C::Product;
  float odd[2][4] = {};  // two chains of products instead of one
#pragma unroll
  for (int piece = 0; piece < C::kKPieces; ++piece) {
#pragma unroll
    for (int eight = 0; eight < 2; ++eight) {
      const uint4& k = tokens.k[eight][piece];
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
  }
#pragma unroll
  for (int eight = 0; eight < 2; ++eight) {
#pragma unroll
    for (int i = 0; i < 4; ++i) logits[eight][i] += odd[eight][i];
  }
}

// Turns logits into weights and rescales what was summed with an older maximum.
template <typename C>
__device__ __forceinline__ void softmax_step(State<C>& state, float (&logits)[2][4],
                                             const float (&scale)[C::kHalves], int token,
                                             const device::KeyRange& keys, bool whole) {
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
      logit = whole || (at >= keys.first && at < keys.end) ? logit * scale[half] : -INFINITY;
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

// Adds the products of the weights with the values of 32 bytes of columns. Of E4M3 codes a register
// holds two columns of two tokens.
template <typename C>
__device__ __forceinline__ void accumulate(State<C>& state, const uint32_t (&weights)[4],
                                           const Tokens<C>& tokens) {
  using Product = typename C::Product;
#pragma unroll
  for (int i = 0; i < C::kVLoads; ++i) {
    if constexpr (Product::kHalf) {
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const uint32_t first = __byte_perm(tokens.v[i][part * 2], 0, 0x3120);
        const uint32_t second = __byte_perm(tokens.v[i][part * 2 + 1], 0, 0x3120);
        const uint32_t v[4] = {device::decode_low_half2(first), device::decode_high_half2(first),
                               device::decode_low_half2(second), device::decode_high_half2(second)};
        const int at = i * 2 + part;
        if constexpr (C::kNarrow) {
          Product::mma(state.output[at], v, weights[0], weights[2]);
        } else {
          Product::mma(state.output[2 * at], weights, v[0], v[2]);
          Product::mma(state.output[2 * at + 1], weights, v[1], v[3]);
        }
      }
    } else if constexpr (C::kNarrow) {
      const uint32_t v[4] = {tokens.v[i][0], tokens.v[i][2], tokens.v[i][1], tokens.v[i][3]};
      Product::mma(state.output[i], v, weights[0], weights[2]);
    } else {
      Product::mma(state.output[2 * i], weights, tokens.v[i][0], tokens.v[i][1]);
      Product::mma(state.output[2 * i + 1], weights, tokens.v[i][2], tokens.v[i][3]);
    }
  }
}

// The warp's tokens of every stage of this CTA.
template <typename C>
__device__ __forceinline__ void stream(State<C>& state, const Queries<C>& queries,
                                       const device::Work& work, int split,
                                       device::RingPosition& position, Shared<C>& shared) {
  using Product = typename C::Product;
  const StageRange stages = stages_of(work.keys);
#pragma unroll 1
  for (int stage = work.turn; stage < stages.count; stage += split) {
    const int token =
        (stages.first + stage) * kStageTokens + static_cast<int>(threadIdx.x) / 32 * kStep;
    device::wait_barrier(device::shared_address(&shared.full[position.slot]), position.parity);
    const auto& stage_bytes = shared.ring[position.slot];
    const bool seen = token < work.keys.end && token + kStep > work.keys.first;
    const bool whole = token >= work.keys.first && token + kStep <= work.keys.end;
    Tokens<C> tokens;
    tokens.load_keys(stage_bytes[0]);
    float logits[2][4] = {};
    score<C>(logits, queries, tokens);
    tokens.load_values(stage_bytes[1]);
    __syncwarp();
    if (threadIdx.x % 32 == 0) device::arrive(device::shared_address(&shared.empty[position.slot]));
    position.advance(C::kDepth);
    if (!seen) continue;
    if (!whole) tokens.mask_values(token, work.keys);
    softmax_step<C>(state, logits, queries.scale, token, work.keys, whole);
    const uint32_t weights[4] = {
        Product::pack(logits[0][0], logits[0][1]), Product::pack(logits[0][2], logits[0][3]),
        Product::pack(logits[1][0], logits[1][1]), Product::pack(logits[1][2], logits[1][3])};
    accumulate<C>(state, weights, tokens);
  }
}

// Puts the warp's state into shared memory, the columns where they belong.
template <typename C>
__device__ __forceinline__ void publish(const State<C>& state, int group, Shared<C>& shared) {
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

  __device__ __forceinline__ void add(const State<C>& state, const device::Work& work) {
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
  __device__ __forceinline__ static void sync_consumers() {
    asm volatile("bar.sync 1, %0;" ::"n"(kMathThreads) : "memory");
  }

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

// The consumers' part of the kernel.
template <typename C>
__device__ __forceinline__ void consume(const AttentionCall& call, device::WorkList& list,
                                        int split, Shared<C>& shared) {
  const float softmax_scale =
      call.softmax_scale * device::kLog2E * (call.k_scale != nullptr ? *call.k_scale : 1.0f);
  Merger<C> merger(call, split, shared);
  device::RingPosition position;
  device::Work work;
  Queries<C> queries;
  bool more = list.next(work);
  if (more) queries.fetch(call, work);
  bool alone = true;  // the other CTAs of the cluster may not have started
  while (more) {
    queries.prepare(softmax_scale);
    State<C> state;
    stream<C>(state, queries, work, split, position, shared);
    const device::Work done = work;
    more = list.next(work);
    if (more) queries.fetch(call, work);
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
    for (int i = lane; i < call.heads * call.head_dim * element / 8; i += 32)
      reinterpret_cast<uint2*>(y)[i] = {};
  }
}

template <typename C>
__global__ void __launch_bounds__(kThreads, C::kCtasPerSm)
    attention_decode_kernel(const __grid_constant__ AttentionCall call,
                            const __grid_constant__ DecodeParams params,
                            const __grid_constant__ CUtensorMap k_map,
                            const __grid_constant__ CUtensorMap v_map, int split) {
  extern __shared__ __align__(1024) uint8_t storage[];
  auto& shared = *reinterpret_cast<Shared<C>*>(storage);
  const int warp = threadIdx.x / 32;
  if (threadIdx.x == 0) {
    for (int i = 0; i < C::kDepth; ++i) {
      device::init_barrier(device::shared_address(&shared.full[i]), 1);
      device::init_barrier(device::shared_address(&shared.empty[i]), kConsumers);
    }
    for (uint64_t& barrier : shared.received)
      device::init_barrier(device::shared_address(&barrier), 1);
    device::publish_barriers();
    device::prefetch_tensor_map(&k_map);
    device::prefetch_tensor_map(&v_map);
  }
  __syncthreads();
  device::cluster_arrive();
  device::wait_for_dependencies();
  if (params.sorted) shared.order.sort(params.sequences);
  const int clusters = gridDim.x / split;
  device::WorkList list(params.sequences, params.sorted ? &shared.order : nullptr, call.kv_heads,
                        blockIdx.x / split, clusters, static_cast<int>(device::cluster_rank()),
                        split);
  if (warp == kConsumers) {
    Producer<C>(call, params, k_map, v_map, split, shared).run(list);
    device::cluster_wait();
  } else {
    if (params.zero_rows)
      zero_unowned_rows(call, blockIdx.x * kConsumers + warp, gridDim.x * kConsumers);
    consume<C>(call, list, split, shared);
  }
}

// A cache as lines of 128 bytes, copied `box_tokens` tokens at a time.
CUtensorMap cache_map(const AttentionCall& call, const std::byte* cache, int row_bytes,
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

template <typename C>
void launch_config(const AttentionCall& call, const DecodePlan& plan, const Launch& where) {
  static_assert(C::kDepth >= 2);
  static_assert(sizeof(Shared<C>) <= (C::kCtasPerSm == 1 ? 227 : 113) * 1024);
  const auto kernel = attention_decode_kernel<C>;
  const int64_t pairs = int64_t{call.sequences} * call.kv_heads;
  if (pairs == 0) return;
  Grid grid;
  grid.threads = kThreads;
  grid.cluster = plan.split;
  grid.blocks = dim3(static_cast<unsigned>(pairs * plan.split));
  grid.shared_bytes = sizeof(Shared<C>);
  allow_shared_memory(kernel, grid.shared_bytes);
  if (plan.split > 8)
    OCTAVO_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  const int clusters =
      static_cast<int>(std::min<int64_t>(pairs, std::max(resident_clusters(kernel, grid), 1)));
  grid.blocks = dim3(static_cast<unsigned>(clusters * plan.split));
  const int box_tokens = std::gcd(kStageTokens, call.tokens_per_block);
  const DecodeParams params = {
      .sequences = {.query_start = call.query_start,
                    .query_length = call.query_length,
                    .kv_length = call.kv_length,
                    .count = call.sequences,
                    .least_queries = plan.queries.least,
                    .most_queries = plan.queries.most,
                    .window = call.window},
      .box_tokens = box_tokens,
      .sorted = pairs > clusters && call.sequences <= device::LengthOrder::kMost,
      .zero_rows = plan.zero_rows};
  launch(where, grid, kernel, call, params, cache_map(call, call.k_cache, C::kRowBytes, box_tokens),
         cache_map(call, call.v_cache, C::kRowBytes, box_tokens), plan.split);
}

template <typename Cache, int kHeadDim>
void launch_decode(const AttentionCall& call, const DecodePlan& plan, const Launch& where) {
  if (call.heads / call.kv_heads <= 8)
    return launch_config<Config<Cache, kHeadDim, true>>(call, plan, where);
  launch_config<Config<Cache, kHeadDim, false>>(call, plan, where);
}

}  // namespace

DecodePlan plan_decode(int sequences, int kv_heads, int multiprocessors) {
  // The most CTAs a pair for which all are resident at once: two a multiprocessor, less what the
  // clusters leave unused of a group of multiprocessors. A cluster of two never leaves anything.
  const int64_t pairs = int64_t{sequences} * kv_heads;
  DecodePlan plan = {.split = 2};
  while (plan.split < kMaxSplit && pairs * plan.split * 2 * 8 <= int64_t{multiprocessors} * 15)
    plan.split *= 2;
  return plan;
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
