// Penalties, filters, the draw and log-probabilities: a cluster a row, which it keeps on chip.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/cluster_keys.cuh"
#include "backend/cuda/device/order_key.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/random.cuh"
#include "backend/cuda/sampling/sampling.h"

namespace octavo::cuda {
namespace {

using device::ClusterKeys;
using device::Tally;

constexpr int kResident = 3;  // CTAs of a multiprocessor, with slices of 66 KiB
constexpr int kLoads = 6;     // blocks of logits that are loaded together

struct Best {
  uint64_t key = 0;              // of the modified logits, or kBadPlace
  float unmodified = -INFINITY;  // the largest of the logits as they came
  uint32_t padding = 0;
  __device__ void merge(const Best& other) {
    key = other.key > key ? other.key : key;
    unmodified = fmaxf(unmodified, other.unmodified);
  }
};

// The sum of exponentials, and the drawn token where it is known.
struct Drawn {
  double sum = 0;
  int32_t token = -1;
  uint32_t padding = 0;
  __device__ void merge(const Drawn& other) {
    sum += other.sum;
    token = max(token, other.token);
  }
};

struct RowShared {
  ClusterKeys::Shared keys;
  uint64_t top[kMaxTopLogprobs];  // of the first CTA: the likeliest tokens, in any order
};

__device__ float to_finite(double x) {
  constexpr double kLargest = 0x1.FFFFFEp127;
  return static_cast<float>(x > kLargest ? kLargest : x < -kLargest ? -kLargest : x);
}

__device__ float penalize(float logit, uint32_t seen, const SamplingRow& row) {
  if (seen == 0 || logit == -INFINITY) return logit;
  double x = logit;
  x = x > 0 ? x / double{row.repetition_penalty} : x * double{row.repetition_penalty};
  const int32_t in_output = static_cast<int32_t>(seen & ~kInPrompt);
  if (in_output > 0) x -= double{row.presence_penalty} + double{row.frequency_penalty} * in_output;
  return to_finite(x);
}

// The keys are floats at first, then weights, then logits in order; positions are tokens.
template <bool kVector>
class RowSampler : ClusterKeys {
 public:
  __device__ RowSampler(const SampleArgs& args, int32_t slice, RowShared& shared, uint32_t* keys)
      : ClusterKeys(shared.keys, keys, slice),
        args_(args),
        shared_(shared),
        index_(blockIdx.x / cluster.size),
        row_(args.rows[index_]),
        logits_(args.logits + index_ * args.logits_stride) {}

  __device__ void run() {
    if (row_.slot < 0) return;
    cluster.start();
    Best best = load(true);
    cluster.wait_for_start();
    best = cluster.merge(best);
    largest_ = best.unmodified;
    if (best.key == device::kBadPlace || largest_ == -INFINITY) {
      if (leads()) finish(0, true);
      return;
    }
    // With nothing left to draw the ban gives way: the request ends instead of failing.
    if (device::value_of(best.key) == -INFINITY) best = cluster.merge(load(false));
    if (row_.greedy) {
      if (leads()) finish(device::place_of(best.key), false);
    } else {
      draw_filtered(device::value_of(best.key));
    }
    if (row_.logprobs) write_logprobs();
  }

 private:
  __device__ bool leads() const { return cluster.rank == 0 && threadIdx.x == 0; }

  __device__ __forceinline__ float4 load_four(int32_t token) const {
    if (kVector && token + 4 <= args_.vocab_size)
      return *reinterpret_cast<const float4*>(logits_ + token);
    float4 four = {};
    if (token < args_.vocab_size) four.x = logits_[token];
    if (token + 1 < args_.vocab_size) four.y = logits_[token + 1];
    if (token + 2 < args_.vocab_size) four.z = logits_[token + 2];
    if (token + 3 < args_.vocab_size) four.w = logits_[token + 3];
    return four;
  }

  // Calls visit(logit, token) for every logit of this thread and keeps what it returns as the key;
  // keys past the vocabulary are `outside`.
  template <typename Visit>
  __device__ __forceinline__ void for_each_logit(uint32_t outside, const Visit& visit) const {
    for (int32_t first = 0; first < range; first += kLoads * kBlock) {
      float4 loaded[kLoads] = {};
#pragma unroll
      for (int i = 0; i < kLoads; ++i) {
        if (first + i * kBlock < range) loaded[i] = load_four(position_at(first + i * kBlock));
      }
#pragma unroll
      for (int i = 0; i < kLoads; ++i) {
        if (first + i * kBlock >= range) break;
        const int32_t token = position_at(first + i * kBlock);
        const auto key = [&](float logit, int32_t at) {
          return at < args_.vocab_size ? visit(logit, at) : outside;
        };
        block_at(first + i * kBlock) = {key(loaded[i].x, token), key(loaded[i].y, token + 1),
                                        key(loaded[i].z, token + 2), key(loaded[i].w, token + 3)};
      }
    }
  }

  // Reads the slice, modified or as it is, and returns this thread's best.
  __device__ Best load(bool modify) {
    const uint32_t* counts = modify && row_.has_penalties
                                 ? args_.counts + static_cast<int64_t>(row_.slot) * args_.vocab_size
                                 : nullptr;
    const bool ban = modify && row_.ban_ends && row_.num_ends > 0;
    Best best;
    bool bad = false;
    float largest = -INFINITY;
    int32_t place = args_.vocab_size;
    for_each_logit(__float_as_uint(-INFINITY), [&](float logit, int32_t token) {
      bad |= !(logit < INFINITY);
      best.unmodified = fmaxf(best.unmodified, logit);
      if (counts != nullptr) logit = penalize(logit, counts[token], row_);
      if (logit > largest) {
        largest = logit;
        place = token;
      }
      return __float_as_uint(logit);
    });
    if (ban) {
      ban_ends();
      largest = -INFINITY;
      for (int32_t block = 0; block < range; block += kBlock) {
        const uint4 four = block_at(block);
        const uint32_t keys[4] = {four.x, four.y, four.z, four.w};
        for (int e = 0; e < 4; ++e) {
          if (__uint_as_float(keys[e]) > largest) {
            largest = __uint_as_float(keys[e]);
            place = position_at(block) + e;
          }
        }
      }
    }
    best.key = bad ? device::kBadPlace : device::place_key(largest, place);
    return best;
  }

  __device__ void ban_ends() const {
    __syncthreads();
    for (int32_t i = threadIdx.x; i < row_.num_ends; i += kThreads) {
      const int32_t at = args_.end_ids[row_.first_end + i] - first_position;
      if (at >= 0 && at < range * kWarps) slice_keys[at] = __float_as_uint(-INFINITY);
    }
    __syncthreads();
  }

  // By one thread of the cluster.
  __device__ void finish(int32_t token, bool error) {
    args_.sampled[index_] = {token, error ? 1 : 0, 0.0f, 0};
    args_.last_token[row_.slot] = token;
    if (error) return;
    if (row_.has_penalties)
      ++args_.counts[static_cast<int64_t>(row_.slot) * args_.vocab_size + token];
    drawn_ = token;
  }

  // Keys become weights; those below `floor` count as excluded.
  __device__ void draw_filtered(float largest) {
    const bool limit_count = row_.top_k > 0 && row_.top_k < args_.vocab_size;
    const bool limit_sum = row_.top_p < 1;
    Tally kept = cluster.merge(exponentiate(largest));
    uint32_t floor = 1;
    if (limit_count && kept.count > static_cast<uint32_t>(row_.top_k)) {
      constexpr uint32_t kFourOctaves = 4u << 23;
      floor = keep_count(row_.top_k, {1, kLargestWeight + 1, kFourOctaves, kept.count});
      kept = tally(floor);
    }
    if (limit_sum) floor = keep_sum(row_.top_p, kept, floor);
    if (row_.min_p > 0) floor = max(floor, __float_as_uint(row_.min_p));
    if (limit_sum || row_.min_p > 0) kept = tally(floor);
    const double u = device::counter_uniform(row_.seed, static_cast<uint64_t>(row_.output_index));
    const int32_t token = find(u * kept.sum, floor);
    if (token >= 0 && lane() == 0) finish(token, false);
  }

  // Relative to the maximum, which keeps every exponent at or below 0. Returns this thread's tally
  // of what is not 0.
  __device__ Tally exponentiate(float largest) const {
    const float inverse = 1.0f / row_.temperature;
    Tally mine;
#pragma unroll 2
    for (int32_t block = 0; block < range; block += kBlock) {
      uint4& four = block_at(block);
      float weights[4] = {__uint_as_float(four.x), __uint_as_float(four.y), __uint_as_float(four.z),
                          __uint_as_float(four.w)};
#pragma unroll
      for (float& weight : weights) {
        weight = expf((weight - largest) * inverse);
        mine.count += weight > 0 ? 1 : 0;
      }
      mine.sum += double{(weights[0] + weights[1]) + (weights[2] + weights[3])};
      four = {__float_as_uint(weights[0]), __float_as_uint(weights[1]), __float_as_uint(weights[2]),
              __float_as_uint(weights[3])};
    }
    return mine;
  }

  // Of the logits as they came.
  __device__ void write_logprobs() {
    Drawn mine;
    for_each_logit(0, [&](float logit, int32_t) {
      mine.sum += double{expf(logit - largest_)};
      return device::order_key(logit);
    });
    mine.token = drawn_;
    const Drawn drawn = cluster.merge(mine);
    const double log_sum = log(drawn.sum);
    const auto logprob = [&](float logit) {
      return static_cast<float>(double{logit} - double{largest_} - log_sum);
    };
    const int32_t wanted = min(row_.num_top, args_.vocab_size);
    if (leads()) args_.sampled[index_] = {drawn.token, 0, logprob(logits_[drawn.token]), wanted};
    if (wanted == 0) return;
    constexpr uint32_t kHalfOctave = 1u << 22;
    const uint32_t floor = keep_count(wanted, {1, device::order_key(largest_) + 1, kHalfOctave,
                                               static_cast<uint32_t>(args_.vocab_size)});
    gather_top(floor, static_cast<uint32_t>(wanted));
    if (cluster.rank != 0 || threadIdx.x >= wanted) return;
    const uint64_t own = shared_.top[threadIdx.x];
    uint32_t place = 0;  // the number of those before it
    for (uint32_t i = 0; i < wanted; ++i) place += shared_.top[i] > own ? 1 : 0;
    args_.top[index_ * kMaxTopLogprobs + place] = {device::place_of(own),
                                                   logprob(device::value_of(own))};
  }

  // The first CTA gets the `count` keys from `floor` on with their tokens; the last round of a row.
  __device__ void gather_top(uint32_t floor, uint32_t count) {
    device::Count mine;
    for_each([&](uint32_t key) { mine.count += key >= floor ? 1 : 0; });
    cluster.merge(mine);
    uint64_t* to = shared_.top + place_of_first(mine.count);
    if (cluster.rank == 0) cluster.begin_round(count * sizeof(uint64_t));
    for (int32_t block = 0; mine.count > 0 && block < range; block += kBlock) {
      const uint4 four = block_at(block);
      const uint32_t keys[4] = {four.x, four.y, four.z, four.w};
      for (int e = 0; e < 4; ++e) {
        if (keys[e] < floor) continue;
        const uint64_t found =
            static_cast<uint64_t>(keys[e]) << 32 | ~static_cast<uint32_t>(position_at(block) + e);
        cluster.send(to++, 0, found);
      }
    }
    if (cluster.rank == 0) cluster.end_round();
  }

  const SampleArgs& args_;
  RowShared& shared_;
  const int64_t index_;
  const SamplingRow row_;
  const float* logits_;
  float largest_ = 0;   // of the logits as they came
  int32_t drawn_ = -1;  // by this thread
};

template <bool kVector>
__global__ void __launch_bounds__(ClusterKeys::kThreads, kResident)
    sample_kernel(const __grid_constant__ SampleArgs args, int32_t slice) {
  extern __shared__ __align__(16) uint32_t keys[];
  __shared__ RowShared shared;
  device::launch_dependents();
  device::wait_for_dependencies();
  RowSampler<kVector>(args, slice, shared, keys).run();
}

}  // namespace

void launch_sample_rows(const SampleArgs& args, const Launch& where) {
  // By the vocabulary alone, so that the order of sums is that of any other batch.
  constexpr int32_t kGrain = ClusterKeys::kGrain;
  constexpr int32_t kOneCta = 4 * kGrain;
  static_assert(kMaxSampledVocab % (device::kMaxCluster * kGrain) == 0);
  static_assert(kMaxSampledVocab <= device::kMaxCluster * ClusterKeys::kMaxSlice);
  Grid grid;
  grid.threads = ClusterKeys::kThreads;
  grid.cluster = args.vocab_size <= kOneCta ? 1 : device::kMaxCluster;
  grid.blocks = dim3(static_cast<unsigned>(args.num_rows * grid.cluster));
  const int32_t slice =
      static_cast<int32_t>(blocks_for(args.vocab_size, grid.cluster * kGrain) * kGrain);
  grid.shared_bytes = slice * static_cast<int>(sizeof(uint32_t));
  const bool vector =
      reinterpret_cast<uintptr_t>(args.logits) % 16 == 0 && args.logits_stride % 4 == 0;
  const auto kernel = vector ? sample_kernel<true> : sample_kernel<false>;
  allow_shared_memory(kernel, grid.shared_bytes);
  launch(where, grid, kernel, args, slice);
}

}  // namespace octavo::cuda
