// Which query rows a cluster of a decode kernel serves: the longest sequences first, in turns.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/attention.cuh"

namespace octavo::device {

// Operands of attention that say where sequences are, and which of them a launch serves.
struct Sequences {
  const int32_t* query_start;
  const int32_t* query_length;
  const int32_t* kv_length;
  int count;
  int least_queries, most_queries;
  int64_t window;

  __device__ __forceinline__ bool serves(int queries) const {
    return queries >= least_queries && queries <= most_queries;
  }
};

// The sequences by falling length, in shared memory. Lengths whose first four significant bits
// agree count as equal and stay in order, so that every CTA finds the same order.
struct LengthOrder {
  static constexpr int kMost = 1024;  // sequences
  static constexpr int kClasses = 192;
  int served;
  int begin[kClasses];
  uint8_t classes[kMost];
  uint16_t sequences[kMost];

  // The same for all threads of the block; ends with a barrier.
  __device__ __forceinline__ void sort(const Sequences& input) {
    for (int i = threadIdx.x; i < kClasses; i += blockDim.x) begin[i] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < input.count; i += blockDim.x) {
      classes[i] = static_cast<uint8_t>(class_of(input, i));
      atomicAdd(&begin[classes[i]], 1);
    }
    __syncthreads();
    if (threadIdx.x < 32) place(input.count);
    __syncthreads();
  }

 private:
  // 0: the longest; the last: not served.
  __device__ __forceinline__ static int class_of(const Sequences& input, int sequence) {
    const int queries = input.query_length[sequence];
    int64_t keys = input.kv_length[sequence];
    if (input.window > 0) keys = min(keys, input.window);
    if (!input.serves(queries)) return kClasses - 1;
    const float work = static_cast<float>(max(keys * queries / 16, int64_t{1}));
    const int rank = static_cast<int>(__float_as_uint(work) >> 20) - (127 << 3);
    return max(kClasses - 2 - rank, 0);
  }

  // By one warp: counts become begins, then every sequence takes its place.
  __device__ __forceinline__ void place(int count) {
    constexpr int kEach = kClasses / 32;
    const int lane = threadIdx.x % 32;
    int counts[kEach];
    int sum = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) sum += counts[i] = begin[lane * kEach + i];
    int before = sum;
    for (int offset = 1; offset < 32; offset *= 2) {
      const int other = __shfl_up_sync(0xFFFFFFFFu, before, offset);
      if (lane >= offset) before += other;
    }
    before -= sum;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      begin[lane * kEach + i] = before;
      before += counts[i];
    }
    if (lane == 31) served = before - counts[kEach - 1];
    __syncwarp();
    for (int base = 0; base < count; base += 32) {
      const int sequence = base + lane;
      const int own = sequence < count ? classes[sequence] : kClasses;
      const uint32_t same = __match_any_sync(0xFFFFFFFFu, own);
      const int at = own < kClasses ? begin[own] + __popc(same & ((1u << lane) - 1)) : 0;
      __syncwarp();
      if (own < kClasses) {
        sequences[at] = static_cast<uint16_t>(sequence);
        if ((same >> lane) == 1) begin[own] = at + 1;  // the last of its class
      }
      __syncwarp();
    }
  }
};

// One query row of one KV head. The CTAs of a cluster take turns at its stages of keys.
struct Work {
  int64_t row;  // of q and y
  int pair;     // counts pairs of sequence and KV head in the order of the work list
  int sequence, kv_head;
  KeyRange keys;
  int turn;  // the first stage of this CTA; differs between rows, as some have few stages
};

// The work of one cluster: a pair of sequence and head from every `clusters` pairs, forwards and
// backwards in turn so that nobody always has the longest.
class WorkList {
 public:
  __device__ __forceinline__ WorkList(const Sequences& input, const LengthOrder* order,
                                      int kv_heads, int cluster, int clusters, int rank, int ranks)
      : input_(input),
        order_(order),
        kv_heads_(kv_heads),
        cluster_(cluster),
        clusters_(clusters),
        rank_(rank),
        ranks_(ranks),
        pairs_((order != nullptr ? order->served : input.count) * kv_heads) {
    look_ahead();
  }

  // False after the last one. Reads the lengths of the next pair already.
  __device__ __forceinline__ bool next(Work& work) {
    while (query_ >= now_.queries) {
      if (coming_.pair >= pairs_) return false;
      now_ = coming_;
      if (!input_.serves(now_.queries)) now_.queries = 0;
      query_ = 0;
      look_ahead();
    }
    work = place_of(now_);
    work.row = now_.start + query_;
    work.keys = visible_keys(now_.length - now_.queries + query_, input_.window);
    ++query_;
    return true;
  }

  // What is known of the next pair before its lengths are: false where there is none.
  __device__ __forceinline__ bool peek(Work& work) const {
    if (coming_.pair >= pairs_) return false;
    work = place_of(coming_);
    return true;
  }

 private:
  struct Pair {
    int pair, sequence, start, queries, length;
  };

  __device__ __forceinline__ Work place_of(const Pair& pair) const {
    const int kv_head = pair.pair % kv_heads_;
    return {.pair = pair.pair,
            .sequence = pair.sequence,
            .kv_head = kv_head,
            .turn = (rank_ + pair.sequence * kv_heads_ + kv_head) & (ranks_ - 1)};
  }

  __device__ __forceinline__ void look_ahead() {
    coming_.pair = round_ * clusters_ + (round_ % 2 == 0 ? cluster_ : clusters_ - 1 - cluster_);
    ++round_;
    if (coming_.pair >= pairs_) return;
    const int at = coming_.pair / kv_heads_;
    coming_.sequence = order_ != nullptr ? order_->sequences[at] : at;
    coming_.start = input_.query_start[coming_.sequence];
    coming_.queries = input_.query_length[coming_.sequence];
    coming_.length = input_.kv_length[coming_.sequence];
  }

  const Sequences& input_;
  const LengthOrder* order_;
  const int kv_heads_, cluster_, clusters_, rank_, ranks_, pairs_;
  Pair now_ = {.queries = 0};
  Pair coming_ = {};
  int query_ = 0, round_ = 0;
};

}  // namespace octavo::device
