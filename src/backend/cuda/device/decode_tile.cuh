// Decode attention of one warp: keys and values from swizzled shared memory to the tensor cores.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/attention.cuh"
#include "backend/cuda/device/ptx/memory.cuh"
#include "backend/cuda/device/rope.cuh"

namespace octavo::device {

// Up to 8 query heads a KV head are `narrow`: the values are then the tall side of their product,
// which halves its instructions and registers.
template <typename CacheType, int kDim, bool kIsNarrow>
struct DecodeTile {
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
  // Tokens that a warp takes at a time. Two sixteens halve what a short row's softmax
  // costs for its bytes.
  static constexpr int kSixteens = kRowBytes == 64 ? 2 : 1;
  static constexpr int kStep = 16 * kSixteens;
  static constexpr int kProducts = kHeadDim / 16;  // q · k instructions of eight tokens
  static constexpr int kOutputs = kHeadDim / (kNarrow ? 16 : 8);  // accumulators of four
};

// Where a byte of a 128-byte swizzled box is: linear over exclusive or.
__device__ __forceinline__ constexpr uint32_t swizzled(uint32_t offset) {
  return offset ^ ((offset >> 3) & 0x70u);
}
// swizzled(x + offset), given the address of swizzled(x); x and `offset` share no bits.
__device__ __forceinline__ constexpr uint32_t moved(uint32_t address, uint32_t offset) {
  return (address ^ (swizzled(offset) & 0x70u)) + (offset & ~0x7Fu);
}

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

  // `q`: the first of the group's heads.
  __device__ __forceinline__ void fetch(const __nv_bfloat16* q, int group) {
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < C::kHalves; ++half) {
      const int head = threadIdx.x % 32 / 4 + half * 8;
      const __nv_bfloat16* row = q + head * C::kHeadDim;
#pragma unroll
      for (int i = 0; i < C::kProducts; ++i) {
        // Four columns: those whose keys the thread holds.
        constexpr int kEach = C::Product::kHalf ? 4 : 2;  // products of a piece
        const int column = key_piece<C>(t, i / kEach) * 4 * kEach + i % kEach * 4;
        fetched_[half][i] = head < group ? *reinterpret_cast<const uint2*>(row + column) : uint2{};
      }
    }
  }

  // Turns what was fetched by the angles of its position and rounds it, as a rope before would
  // have.
  __device__ __forceinline__ void rotate(const float* cosine, const float* sine) {
#pragma unroll
    for (int half = 0; half < C::kHalves; ++half) {
      if constexpr (C::kRowBytes == 256) {
        rotate_within(half, cosine, sine);
      } else {
        rotate_across(half, cosine, sine);
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
        factor = normalizer(quad_max(largest));
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
  // The first of four columns of product i that lane t of a quad takes: those whose keys it holds.
  __device__ __forceinline__ static constexpr int column_of(int t, int i) {
    constexpr int kEach = C::Product::kHalf ? 4 : 2;  // products of a piece
    return key_piece<C>(t, i / kEach) * 4 * kEach + i % kEach * 4;
  }
  __device__ __forceinline__ static float element(const uint2& four, int j) {
    const uint32_t pair = j < 2 ? four.x : four.y;
    return __uint_as_float(j % 2 == 0 ? pair << 16 : pair & 0xFFFF0000u);
  }
  __device__ __forceinline__ float value(int half, int i, int j) const {
    const uint32_t pair = j < 2 ? fetched_[half][i].x : fetched_[half][i].y;
    return __uint_as_float(j % 2 == 0 ? pair << 16 : pair & 0xFFFF0000u);
  }
  // A thread has both columns of a pair.
  __device__ __forceinline__ void rotate_within(int half, const float* cosine, const float* sine) {
    constexpr int kAway = C::kProducts / 2;  // from a product to that of the other half's columns
#pragma unroll
    for (int i = 0; i < kAway; ++i) {
      const int column = column_of(threadIdx.x % 4, i);
      float low[4], high[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        low[j] = value(half, i, j);
        high[j] = value(half, i + kAway, j);
        device::rotate(low[j], high[j], cosine[column + j], sine[column + j]);
      }
      set(half, i, low);
      set(half, i + kAway, high);
    }
  }
  // Lanes t and t + 2 of a quad have one each.
  __device__ __forceinline__ void rotate_across(int half, const float* cosine, const float* sine) {
    const int t = threadIdx.x % 4;
    const bool is_low = t < 2;
#pragma unroll
    for (int i = 0; i < C::kProducts; ++i) {
      const int column = column_of(t, i) % (C::kHeadDim / 2);
      const uint2 mine = fetched_[half][i];
      const uint2 other = {__shfl_xor_sync(0xFFFFFFFFu, mine.x, 2),
                           __shfl_xor_sync(0xFFFFFFFFu, mine.y, 2)};
      float turned[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float low = element(is_low ? mine : other, j);
        float high = element(is_low ? other : mine, j);
        device::rotate(low, high, cosine[column + j], sine[column + j]);
        turned[j] = is_low ? low : high;
      }
      set(half, i, turned);
    }
  }
  __device__ __forceinline__ void set(int half, int i, const float (&values)[4]) {
    using Rounded = device::Product<__nv_bfloat16>;
    fetched_[half][i] = {Rounded::pack(values[0], values[1]), Rounded::pack(values[2], values[3])};
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

// Where the tokens of this warp begin in k or v of a stage; `sixteen` counts what it takes of them.
template <typename C>
__device__ __forceinline__ uint32_t warp_part(const uint8_t* tensor, int sixteen) {
  return shared_address(tensor) + (threadIdx.x / 32 * C::kStep + sixteen * 16) * C::kRowBytes;
}

// Of 16 keys, numbers lane / 4 and lane / 4 + 8.
template <typename C>
struct Keys {
  uint4 pieces[2][C::kKPieces];

  __device__ __forceinline__ void load(const uint8_t* k, int sixteen) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t key = warp_part<C>(k, sixteen) +
                         swizzled(lane / 4 * C::kRowBytes + key_piece<C>(lane % 4, 0) * 16);
#pragma unroll
    for (int eight = 0; eight < 2; ++eight) {
#pragma unroll
      for (int piece = 0; piece < C::kKPieces; ++piece)
        pieces[eight][piece] =
            load_shared_16(moved(key, eight * 8 * C::kRowBytes + key_piece<C>(0, piece) * 16));
    }
  }
};

// Of 16 tokens' values, numbers 2t, 2t + 1 and 2t + 8, 2t + 9 with t = lane % 4, in pairs: 16 bytes
// of the first pair, of the second, then the next 16 bytes of both.
template <typename C>
struct Values {
  uint32_t pairs[C::kVLoads][4];

  __device__ __forceinline__ void load(const uint8_t* v, int sixteen) {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t value =
        warp_part<C>(v, sixteen) + swizzled(lane % 16 * C::kRowBytes + lane / 16 * 16);
#pragma unroll
    for (int i = 0; i < C::kVLoads; ++i) load_tiles_transposed(pairs[i], moved(value, i * 32));
  }

  // Values of tokens outside `keys` become zero: a weight of zero does not silence a NaN.
  __device__ __forceinline__ void mask(int token, const KeyRange& keys) {
    uint32_t masks[2];
#pragma unroll
    for (int eight = 0; eight < 2; ++eight) {
      const int at = token + eight * 8 + threadIdx.x % 4 * 2;
      masks[eight] = (at >= keys.first && at < keys.end ? 0xFFFFu : 0u) |
                     (at + 1 >= keys.first && at + 1 < keys.end ? 0xFFFF0000u : 0u);
    }
#pragma unroll
    for (int i = 0; i < C::kVLoads; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) pairs[i][j] &= masks[j % 2];
    }
  }
};

template <typename C>
__device__ __forceinline__ void score(float (&logits)[2][4], const Queries<C>& queries,
                                      const Keys<C>& keys) {
  using Product = typename C::Product;
  float odd[2][4] = {};  // two chains of products instead of one
#pragma unroll
  for (int piece = 0; piece < C::kKPieces; ++piece) {
#pragma unroll
    for (int eight = 0; eight < 2; ++eight) {
      const uint4& k = keys.pieces[eight][piece];
      const uint32_t words[4] = {k.x, k.y, k.z, k.w};
      if constexpr (Product::kHalf) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          Product::mma(j % 2 == 0 ? logits[eight] : odd[eight], queries.a[piece * 4 + j],
                       decode_low_half2(words[j]), decode_high_half2(words[j]));
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
__device__ __forceinline__ void softmax_step(State<C>& state, float (&logits)[C::kSixteens][2][4],
                                             const float (&scale)[C::kHalves], int token,
                                             const KeyRange& keys, bool whole) {
  const int first = token + threadIdx.x % 4 * 2;
  float factor[C::kHalves];
  bool changed = false;
#pragma unroll
  for (int half = 0; half < C::kHalves; ++half) {
    float* mine[4 * C::kSixteens];
#pragma unroll
    for (int i = 0; i < 4 * C::kSixteens; ++i) {
      mine[i] = &logits[i / 4][i / 2 % 2][half * 2 + i % 2];
      *mine[i] *= scale[half];
    }
    if (!whole) {
#pragma unroll
      for (int i = 0; i < 4 * C::kSixteens; ++i) {
        const int at = first + i / 2 * 8 + i % 2;
        if (at < keys.first || at >= keys.end) *mine[i] = -INFINITY;
      }
    }
    float largest = state.largest[half];
#pragma unroll
    for (int i = 0; i < 4 * C::kSixteens; ++i) largest = fmaxf(largest, *mine[i]);
    largest = quad_max(largest);
    const float base = largest == -INFINITY ? 0.0f : largest;
    factor[half] = exp2_approximate(state.largest[half] - base);
    changed |= largest != state.largest[half];
    state.largest[half] = largest;
    state.total[half] *= factor[half];
#pragma unroll
    for (int i = 0; i < 4 * C::kSixteens; ++i) {
      *mine[i] = exp2_approximate(*mine[i] - base);
      state.total[half] += *mine[i];
    }
  }
  if (__any_sync(0xFFFFFFFFu, changed)) state.rescale(factor);
}

// Adds the products of the weights with the values of 32 bytes of columns. Of E4M3 codes a register
// holds two columns of two tokens.
template <typename C>
__device__ __forceinline__ void accumulate(State<C>& state, const uint32_t (&weights)[4],
                                           const Values<C>& values) {
  using Product = typename C::Product;
#pragma unroll
  for (int i = 0; i < C::kVLoads; ++i) {
    if constexpr (Product::kHalf) {
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const uint32_t first = __byte_perm(values.pairs[i][part * 2], 0, 0x3120);
        const uint32_t second = __byte_perm(values.pairs[i][part * 2 + 1], 0, 0x3120);
        const uint32_t v[4] = {decode_low_half2(first), decode_high_half2(first),
                               decode_low_half2(second), decode_high_half2(second)};
        const int at = i * 2 + part;
        if constexpr (C::kNarrow) {
          Product::mma(state.output[at], v, weights[0], weights[2]);
        } else {
          Product::mma(state.output[2 * at], weights, v[0], v[2]);
          Product::mma(state.output[2 * at + 1], weights, v[1], v[3]);
        }
      }
    } else if constexpr (C::kNarrow) {
      const uint32_t v[4] = {values.pairs[i][0], values.pairs[i][2], values.pairs[i][1],
                             values.pairs[i][3]};
      Product::mma(state.output[i], v, weights[0], weights[2]);
    } else {
      Product::mma(state.output[2 * i], weights, values.pairs[i][0], values.pairs[i][1]);
      Product::mma(state.output[2 * i + 1], weights, values.pairs[i][2], values.pairs[i][3]);
    }
  }
}

}  // namespace octavo::device
