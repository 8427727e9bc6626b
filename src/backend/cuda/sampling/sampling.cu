// Penalties, filters, the draw and log-probabilities: a cluster a row, which it keeps on chip.
// SPDX-License-Identifier: Apache-2.0
//
// A row is cut into a slice a CTA, a slice into a range a warp, and a range into blocks of 128
// tokens, four a lane: token order is CTA, warp, block, lane. The slices lie in shared memory as
// 32-bit keys that order like what they stand for (floats at first, then weights, then logits).
#include "backend/cuda/device/order_key.cuh"
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/random.cuh"
#include "backend/cuda/device/reduce/cluster.cuh"
#include "backend/cuda/sampling/sampling.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;
constexpr int kBlock = 128;                       // tokens that a warp looks at together
constexpr uint32_t kLargestWeight = 0x3F800000u;  // 1.0f: that of the likeliest

struct Best {
  uint64_t key = 0;              // of the modified logits, or kBadPlace
  float unmodified = -INFINITY;  // the largest of the logits as they came
  uint32_t padding = 0;
  __device__ void merge(const Best& other) {
    key = other.key > key ? other.key : key;
    unmodified = fmaxf(unmodified, other.unmodified);
  }
};

struct Count {
  uint32_t count = 0;
  __device__ void merge(const Count& other) { count += other.count; }
};

struct Tally {
  double sum = 0;
  uint32_t count = 0;
  uint32_t padding = 0;
  __device__ void merge(const Tally& other) {
    sum += other.sum;
    count += other.count;
  }
};

struct Shared {
  device::ClusterParts<Best, kWarps> best;
  device::ClusterParts<Count, kWarps> counts;
  device::ClusterParts<Tally, kWarps> tallies;
  // Of the first CTA: what the others found.
  int32_t token;
  uint32_t num_found;
  uint64_t found[kMaxTopLogprobs];
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

template <bool kVector>
class RowSampler {
 public:
  __device__ RowSampler(const SampleArgs& args, int32_t slice, Shared& shared, uint32_t* keys)
      : args_(args),
        shared_(shared),
        row_(args.rows[blockIdx.x / device::cluster_size()]),
        logits_(args.logits + blockIdx.x / device::cluster_size() * args.logits_stride),
        place_{device::cluster_rank(), device::cluster_size()},
        first_(static_cast<int32_t>(place_.rank) * slice),
        range_(slice / kWarps),
        slice_(keys),
        keys_(keys + threadIdx.x / 32 * range_ + threadIdx.x % 32 * 4) {}

  __device__ void run() {
    if (row_.slot < 0) return;
    if (leads()) {
      shared_.token = 0;
      shared_.num_found = 0;
    }
    device::cluster_arrive();  // peers are written to once they have started
    Best best = load(true);
    device::cluster_wait();
    best = device::cluster_merge(best, shared_.best, place_);
    largest_ = best.unmodified;
    if (best.key == device::kBadPlace || largest_ == -INFINITY) {
      if (leads()) finish(0, true);
      return;
    }
    if (device::value_of(best.key) == -INFINITY) {
      // With nothing left to draw the ban gives way: the request ends instead of failing.
      best = device::cluster_merge(load(false), shared_.best, place_);
    }
    if (row_.greedy) {
      if (leads()) finish(device::place_of(best.key), false);
    } else {
      draw_filtered(device::value_of(best.key));
    }
    if (!row_.logprobs) return;
    __syncthreads();  // the draw has read the parts that the next sum overwrites
    write_logprobs();
  }

 private:
  __device__ bool leads() const { return place_.rank == 0 && threadIdx.x == 0; }
  __device__ static uint32_t lane() { return threadIdx.x % 32; }
  __device__ static uint32_t warp() { return threadIdx.x / 32; }
  // The token of this lane's first key of a block.
  __device__ int32_t token_at(int32_t block) const {
    return first_ + static_cast<int32_t>(warp()) * range_ + block +
           static_cast<int32_t>(lane()) * 4;
  }
  __device__ uint4& block_at(int32_t block) const {
    return *reinterpret_cast<uint4*>(keys_ + block);
  }

  // Calls visit(key) for every key of this thread.
  template <typename Visit>
  __device__ __forceinline__ void for_each(const Visit& visit) const {
#pragma unroll 4
    for (int32_t block = 0; block < range_; block += kBlock) {
      uint4 four = block_at(block);
      visit(four.x);
      visit(four.y);
      visit(four.z);
      visit(four.w);
    }
  }

  // Calls visit(logit, token) for every logit of this thread and keeps what it returns as the key;
  // keys past the vocabulary are `outside`.
  template <typename Visit>
  __device__ __forceinline__ void for_each_logit(uint32_t outside, const Visit& visit) const {
#pragma unroll 4
    for (int32_t block = 0; block < range_; block += kBlock) {
      const int32_t token = token_at(block);
      float4 four = {};
      if (kVector && token + 4 <= args_.vocab_size) {
        four = *reinterpret_cast<const float4*>(logits_ + token);
      } else {
        if (token < args_.vocab_size) four.x = logits_[token];
        if (token + 1 < args_.vocab_size) four.y = logits_[token + 1];
        if (token + 2 < args_.vocab_size) four.z = logits_[token + 2];
        if (token + 3 < args_.vocab_size) four.w = logits_[token + 3];
      }
      const auto key = [&](float logit, int32_t at) {
        return at < args_.vocab_size ? visit(logit, at) : outside;
      };
      block_at(block) = {key(four.x, token), key(four.y, token + 1), key(four.z, token + 2),
                         key(four.w, token + 3)};
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
      for (int32_t block = 0; block < range_; block += kBlock) {
        const uint4 four = block_at(block);
        const uint32_t keys[4] = {four.x, four.y, four.z, four.w};
        for (int e = 0; e < 4; ++e) {
          if (__uint_as_float(keys[e]) > largest) {
            largest = __uint_as_float(keys[e]);
            place = token_at(block) + e;
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
      const int32_t at = args_.end_ids[row_.first_end + i] - first_;
      if (at >= 0 && at < range_ * kWarps) slice_[at] = __float_as_uint(-INFINITY);
    }
    __syncthreads();
  }

  // By one thread of the cluster.
  __device__ void finish(int32_t token, bool error) {
    const int64_t index = blockIdx.x / place_.size;
    args_.sampled[index] = {token, error ? 1 : 0, 0.0f, 0};
    args_.last_token[row_.slot] = token;
    if (error) return;
    if (row_.has_penalties)
      ++args_.counts[static_cast<int64_t>(row_.slot) * args_.vocab_size + token];
    if (row_.logprobs) device::write_to_peer(&shared_.token, 0, token);
  }

  // Keys become weights; those below `floor` count as excluded.
  __device__ void draw_filtered(float largest) {
    const bool limit_count = row_.top_k > 0 && row_.top_k < args_.vocab_size;
    const bool limit_sum = row_.top_p < 1;
    exponentiate(largest);
    uint32_t floor = 1;
    if (limit_count)
      floor = max(floor, keep_count(static_cast<uint32_t>(row_.top_k), floor, kLargestWeight + 1));
    Tally kept = tally(floor);
    if (limit_sum) floor = keep_sum(kept.sum, floor);
    if (row_.min_p > 0) floor = max(floor, __float_as_uint(row_.min_p));
    if (limit_sum || row_.min_p > 0) kept = tally(floor);
    const double u = device::counter_uniform(row_.seed, static_cast<uint64_t>(row_.output_index));
    draw(u * kept.sum, floor);
  }

  // Relative to the maximum, which keeps every exponent at or below 0.
  __device__ void exponentiate(float largest) const {
    const float inverse = 1.0f / row_.temperature;
#pragma unroll 2
    for (int32_t block = 0; block < range_; block += kBlock) {
      uint4& four = block_at(block);
      const auto weight = [&](uint32_t key) {
        return __float_as_uint(expf((__uint_as_float(key) - largest) * inverse));
      };
      four = {weight(four.x), weight(four.y), weight(four.z), weight(four.w)};
    }
  }

  // The sum and number of the weights from `floor` on.
  __device__ Tally tally(uint32_t floor) {
    Tally mine;
    for_each([&](uint32_t key) {
      if (key >= floor) {
        mine.sum += double{__uint_as_float(key)};
        ++mine.count;
      }
    });
    return device::cluster_merge(mine, shared_.tallies, place_);
  }

  // Leaves the `wanted` largest keys, ties to the lower token: the others are below what is
  // returned, or zero. There are at least `wanted` keys of at least `low`, or more than none.
  __device__ uint32_t keep_count(uint32_t wanted, uint32_t low, uint32_t high) {
    uint32_t count = 0xFFFFFFFFu;
    uint32_t above = 0;
    while (high - low > 1 && count != wanted) {
      const uint32_t middle = low + (high - low) / 2;
      Count mine;
      for_each([&](uint32_t key) { mine.count += key >= middle ? 1 : 0; });
      const uint32_t seen = device::cluster_merge(mine, shared_.counts, place_).count;
      if (seen >= wanted) {
        low = middle;
        count = seen;
      } else {
        high = middle;
        above = seen;
      }
    }
    if (count != wanted) keep_ties(low, wanted - above);
    return low;
  }

  // Leaves the largest weights that reach top_p of `sum` together, as keep_count does.
  __device__ uint32_t keep_sum(double sum, uint32_t floor) {
    const double target = double{row_.top_p} * sum;
    // What lies below this sums to at most half of what may be left out.
    const double negligible = (1 - double{row_.top_p}) * sum / (2.0 * args_.vocab_size);
    uint32_t low = max(floor, __float_as_uint(static_cast<float>(negligible)));
    uint32_t high = kLargestWeight + 1;
    uint32_t count = 0xFFFFFFFFu;
    Tally above;
    while (high - low > 1 && count - above.count != 1) {
      const uint32_t middle = low + (high - low) / 2;
      const Tally seen = tally(middle);
      if (seen.sum >= target) {
        low = middle;
        count = seen.count;
      } else {
        high = middle;
        above = seen;
      }
    }
    if (count - above.count != 1) {
      const double missing = (target - above.sum) / double{__uint_as_float(low)};
      keep_ties(low, static_cast<uint32_t>(fmin(fmax(ceil(missing), 1.0), 0x1p31)));
    }
    return low;
  }

  // Of the keys equal to `key` zeroes all but the first `kept`.
  __device__ void keep_ties(uint32_t key, uint32_t kept) {
    Count mine;
    for_each([&](uint32_t other) { mine.count += other == key ? 1 : 0; });
    if (device::cluster_merge(mine, shared_.counts, place_).count <= kept) return;
    uint32_t before = 0;
    for (uint32_t i = 0; i < place_.rank; ++i) before += place_.last(shared_.counts)[i].count;
    for (uint32_t i = 0; i < warp(); ++i) before += shared_.counts.warps[i].count;
    const uint32_t lower_lanes = (1u << lane()) - 1;
    for (int32_t block = 0; block < range_; block += kBlock) {
      uint4& four = block_at(block);
      uint32_t rank = before;
      const auto of_lower_lanes = [&](uint32_t other) {
        const uint32_t ties = __ballot_sync(device::kAllLanes, other == key);
        rank += __popc(ties & lower_lanes);
        before += __popc(ties);
      };
      of_lower_lanes(four.x);
      of_lower_lanes(four.y);
      of_lower_lanes(four.z);
      of_lower_lanes(four.w);
      const auto keep = [&](uint32_t& other) {
        if (other == key && rank++ >= kept) other = 0;
      };
      keep(four.x);
      keep(four.y);
      keep(four.z);
      keep(four.w);
    }
  }

  // Where the sums of consecutive parts pass `target`: the part, and the sum before it. Rounding
  // can leave the target just above the whole: the last part that is not zero, then.
  struct Part {
    uint32_t index = 0;
    double before = 0;
  };
  __device__ static Part part_of(const Tally* parts, uint32_t count, double target) {
    Part part;
    double sum = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (parts[i].sum == 0) continue;
      part = {i, sum};
      sum += parts[i].sum;
      if (sum > target) break;
    }
    return part;
  }

  // After a tally of the same floor: its parts are the sums to search.
  __device__ void draw(double target, uint32_t floor) {
    const Part cta = part_of(place_.last(shared_.tallies), place_.size, target);
    if (cta.index != place_.rank) return;
    target -= cta.before;
    const Part part = part_of(shared_.tallies.warps, kWarps, target);
    if (part.index != warp()) return;
    target -= part.before;
    double sum = 0;
    int32_t last = -1;  // of this lane's tokens that can be drawn
    for (int32_t block = 0; block < range_; block += kBlock) {
      const uint4 four = block_at(block);
      const uint32_t keys[4] = {four.x, four.y, four.z, four.w};
      double mine = 0;
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if (keys[e] >= floor) {
          mine += double{__uint_as_float(keys[e])};
          last = token_at(block) + e;
        }
      }
      double through = mine;  // this lane and those before it
#pragma unroll
      for (int lanes = 1; lanes < 32; lanes *= 2) {
        const double other = __shfl_up_sync(device::kAllLanes, through, lanes);
        if (lane() >= lanes) through += other;
      }
      double before = __shfl_up_sync(device::kAllLanes, through, 1);
      if (lane() == 0) before = 0;
      const uint32_t passed = __ballot_sync(device::kAllLanes, mine > 0 && sum + through > target);
      if (passed != 0) {
        if (lane() == static_cast<uint32_t>(__ffs(passed) - 1))
          draw_in_lane(keys, block, sum + before, target, floor);
        return;
      }
      sum += __shfl_sync(device::kAllLanes, through, 31);
    }
    const int32_t largest = __reduce_max_sync(device::kAllLanes, last);
    if (lane() == 0) finish(largest, false);
  }

  __device__ void draw_in_lane(const uint32_t (&keys)[4], int32_t block, double sum, double target,
                               uint32_t floor) {
    int32_t token = 0;
    bool passed = false;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (passed || keys[e] < floor) continue;
      sum += double{__uint_as_float(keys[e])};
      token = token_at(block) + e;
      passed = sum > target;
    }
    finish(token, false);
  }

  // Of the logits as they came.
  __device__ void write_logprobs() {
    Tally mine;
    for_each_logit(0, [&](float logit, int32_t) {
      mine.sum += double{expf(logit - largest_)};
      return device::order_key(logit);
    });
    const double log_sum = log(device::cluster_merge(mine, shared_.tallies, place_).sum);
    const auto logprob = [&](float logit) {
      return static_cast<float>(double{logit} - double{largest_} - log_sum);
    };
    const int64_t index = blockIdx.x / place_.size;
    const uint32_t wanted = static_cast<uint32_t>(min(row_.num_top, args_.vocab_size));
    if (leads()) {
      args_.sampled[index] = {shared_.token, 0, logprob(logits_[shared_.token]),
                              static_cast<int32_t>(wanted)};
    }
    if (wanted == 0) return;
    const uint32_t floor = keep_count(wanted, 1, device::order_key(INFINITY));
    for (int32_t block = 0; block < range_; block += kBlock) {
      const uint4 four = block_at(block);
      const uint32_t keys[4] = {four.x, four.y, four.z, four.w};
      for (int e = 0; e < 4; ++e) {
        if (keys[e] < floor) continue;
        const uint32_t at = device::add_in_peer(&shared_.num_found, 0, 1);
        const uint64_t found =
            static_cast<uint64_t>(keys[e]) << 32 | ~static_cast<uint32_t>(token_at(block) + e);
        if (at < kMaxTopLogprobs) device::write_to_peer(&shared_.found[at], 0, found);
      }
    }
    device::cluster_sync();
    if (place_.rank != 0 || threadIdx.x >= wanted) return;
    // The order in which they were found is any: each takes its place by comparing.
    const uint64_t own = shared_.found[threadIdx.x];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < wanted; ++i) rank += shared_.found[i] > own ? 1 : 0;
    args_.top[index * kMaxTopLogprobs + rank] = {device::place_of(own),
                                                 logprob(device::value_of(own))};
  }

  const SampleArgs& args_;
  Shared& shared_;
  const SamplingRow row_;
  const float* logits_;
  device::ClusterPlace place_;
  int32_t first_;  // token of the slice
  int32_t range_;  // keys of a warp
  uint32_t* slice_;
  uint32_t* keys_;  // of this lane in the first block of its warp
  float largest_ = 0;
};

template <bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    sample_kernel(const __grid_constant__ SampleArgs args, int32_t slice) {
  extern __shared__ __align__(16) uint32_t keys[];
  __shared__ Shared shared;
  device::launch_dependents();
  device::wait_for_dependencies();
  RowSampler<kVector>(args, slice, shared, keys).run();
}

}  // namespace

void launch_sample_rows(const SampleArgs& args, const Launch& where) {
  // By the vocabulary alone, so that the order of sums is that of any other batch.
  constexpr int32_t kGrain = kWarps * kBlock;
  constexpr int32_t kOneCta = 4 * kGrain;
  Grid grid;
  grid.threads = kThreads;
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
