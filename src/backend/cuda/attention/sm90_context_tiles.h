// Hopper's context attention: its tiles in shared memory, and the warpgroup that brings them there.
// SPDX-License-Identifier: Apache-2.0
//
// Part of sm90_context.cu.
#pragma once

#include <type_traits>

#include "backend/cuda/attention/attention.h"
#include "backend/cuda/device/attention.cuh"
#include "backend/cuda/device/context_tasks.cuh"
#include "backend/cuda/device/ptx/mbarrier.cuh"
#include "backend/cuda/device/ptx/tma.cuh"
#include "backend/cuda/device/ptx/wgmma.cuh"
#include "backend/cuda/device/ptx/wgmma_16bit.cuh"

namespace octavo::cuda::context {

inline constexpr int kGroup = 128;  // threads of a warpgroup
inline constexpr int kConsumers = 2;
inline constexpr int kThreads = kGroup * (1 + kConsumers);
inline constexpr int kRows = 64 * kConsumers;  // query rows of a tile
inline constexpr int kKeys = 128;              // keys of a tile
inline constexpr int kTasks = 2;               // that consumers may be behind

// With kFp8 queries are rounded to E4M3 and multiply the codes of the keys as they are.
template <typename CacheType, int kDim, bool kFp8 = false>
struct Config {
  using Cache = CacheType;
  static constexpr bool kFp8Scores = kFp8;
  static constexpr bool kCodes = sizeof(Cache) == 1;
  using Element = std::conditional_t<kCodes, __half, __nv_bfloat16>;
  using Product = device::Product<Cache>;
  static constexpr int kHeadDim = kDim;
  static constexpr int kRowBytes = kHeadDim * sizeof(Cache);
  static constexpr int kRowPieces = kRowBytes / 16;      // of a row of the cache
  static constexpr int kPassRows = kGroup / kRowPieces;  // rows that the group copies at once
  static constexpr int kPasses = kKeys / kPassRows;      // of a tile
  static constexpr int kStages = kCodes ? 2 : 3;         // tiles of values
  static constexpr int kKeyStages = kFp8 ? 3 : kStages;  // tiles of keys
  static constexpr int kAhead = 2;                       // tiles that copies run ahead
  static constexpr int kRaw = kFp8 ? 2 : kCodes ? kAhead + 1 : 0;  // tiles of codes on their way
  // Together what the CTA starts with, 168 for each of its three warpgroups: what is taken must
  // have been given up.
  static constexpr int kConsumerRegisters = 208;
  static constexpr int kProducerRegisters = 88;
  static_assert(kConsumers * kConsumerRegisters + kProducerRegisters == (1 + kConsumers) * 168);
  static_assert(kPassRows % 8 == 0);  // so that all passes have the same swizzle
  static_assert(!kFp8 || kCodes);
  using Tile = device::SwizzledTile<kKeys, kHeadDim>;
  // Rows of up to 128 codes are a line as 64 elements are.
  using KeyTile = device::SwizzledTile<kKeys, kFp8 ? 64 : kHeadDim>;
  using QueryTile = device::SwizzledTile<kRows, kFp8 ? 64 : kHeadDim>;
};

using Barrier = uint64_t;

// What the consumers need to know of a tile of query rows.
struct Task {
  int64_t token;  // row of q and y of its first row
  int rows;       // 0: there is nothing left
  int head;
  int first_position;  // of its first row
  int first_key;       // a multiple of kKeys
  int tiles;           // of keys
};

template <typename C>
struct Shared {
  typename C::QueryTile q;
  typename C::KeyTile k[C::kKeyStages];
  typename C::Tile v[C::kStages];
  uint4 raw[C::kRaw > 0 ? C::kRaw : 1][C::kRaw > 0 ? C::kPasses : 1][kGroup];  // of a thread each
  float q_scale[kRows];
  Task tasks[kTasks];
  Barrier task_full[kTasks], task_empty[kTasks];
  Barrier full[2][C::kKeyStages], empty[2][C::kKeyStages];  // of keys, of values
};

template <typename C>
__device__ void init_barriers(Shared<C>& shared) {
  if (threadIdx.x == 0) {
    constexpr int kWarps = kGroup / 32;
    for (int slot = 0; slot < kTasks; ++slot) {
      device::init_barrier(device::shared_address(&shared.task_full[slot]), 1);
      device::init_barrier(device::shared_address(&shared.task_empty[slot]), kWarps * kConsumers);
    }
    for (int which = 0; which < 2; ++which) {
      for (int stage = 0; stage < C::kKeyStages; ++stage) {
        device::init_barrier(device::shared_address(&shared.full[which][stage]), kWarps);
        device::init_barrier(device::shared_address(&shared.empty[which][stage]),
                             kWarps * kConsumers);
      }
    }
    device::publish_barriers();
  }
  __syncthreads();
}

// One arrival a warp, after all its lanes.
__device__ __forceinline__ void arrive_warp(Barrier& barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) device::arrive(device::shared_address(&barrier));
}
// The same after writing what the tensor cores will read.
__device__ __forceinline__ void publish(Barrier& barrier) {
  device::fence_async_proxy();
  arrive_warp(barrier);
}

// The producer's warpgroup. A tile of keys or values is an item; items alternate between the two,
// from one task to the next without a pause: copies run kAhead items ahead of what is handed over.
template <typename C>
class Producer {
 public:
  __device__ __forceinline__ Producer(const AttentionCall& call, Shared<C>& shared)
      : call_(call), shared_(shared) {
    const int thread = threadIdx.x % kGroup;
    if constexpr (C::kCodes && C::kRowPieces == 8) {
      // Eight lanes take the left half of one row and the right half of the next: the 32 bytes that
      // a lane stores then meet no bank twice.
      const int in_pair = thread % 8 / 4;
      row_ = thread / 16 * 2 + in_pair;
      piece_ = (in_pair ^ thread / 8 % 2) * 4 + thread % 4;
    } else {
      row_ = thread / C::kRowPieces;
      piece_ = thread % C::kRowPieces;
    }
  }

  __device__ void run(const QueryRange& range) {
    const Tiles tiles(call_.query_length, call_.kv_length, call_.sequences, range.least,
                      range.most);
    const int64_t tasks = int64_t{tiles.count()} * call_.heads;
    Source next = locate(tiles, tasks, 0);
    for (int round = 1; next.task.rows > 0; ++round) {
      source_ = next;
      announce(source_.task);
      const int items = 2 * source_.task.tiles;
#pragma unroll 1
      for (int item = 0; item < items; ++item) {
        fetch(item);
        hand_over();
        if (item == 1) next = locate(tiles, tasks, round);
      }
    }
    announce({});
#pragma unroll 1
    for (int i = 0; i < C::kAhead; ++i) hand_over();
  }

 private:
  using Tiles = device::RowTiles<kRows>;

  // A task, and where its keys are.
  struct Source {
    Task task;
    int end;  // of the keys that it sees
    int kv_head;
    const int32_t* blocks;
    uint32_t rows;  // as cache_rows
  };

  // The CTA's task of this round. Every other round turns around, so that CTAs get about the same.
  __device__ __forceinline__ Source locate(const Tiles& tiles, int64_t tasks, int round) const {
    Source source = {};
    const int turn = round % 2 == 0 ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
    const int64_t index = int64_t{round} * gridDim.x + turn;
    if (index >= tasks) return source;
    const auto [sequence, first_row] = tiles.find(static_cast<int>(index / call_.heads));
    const int head = static_cast<int>(index % call_.heads);
    const int queries = call_.query_length[sequence];
    Task& task = source.task;
    task.token = call_.query_start[sequence] + int64_t{first_row};
    task.rows = min(kRows, queries - first_row);
    task.head = head;
    task.first_position = call_.kv_length[sequence] - queries + first_row;
    const int seen = device::visible_keys(task.first_position, call_.window).first;
    task.first_key = seen / kKeys * kKeys;
    source.end = task.first_position + task.rows;
    task.tiles = (source.end - task.first_key + kKeys - 1) / kKeys;
    source.kv_head = head / (call_.heads / call_.kv_heads);
    source.blocks = call_.block_table + sequence * call_.table_stride;
    source.rows = cache_rows(source, 0);
    return source;
  }

  // Rows of the cache where the sixteen tokens of a tile begin that lane % 8 stands for.
  __device__ __forceinline__ uint32_t cache_rows(const Source& source, int tile) const {
    const int token = source.task.first_key + tile * kKeys + static_cast<int>(threadIdx.x % 8) * 16;
    if (token >= source.end) return 0;
    const uint32_t page = call_.tokens_per_block;
    const uint32_t block = source.blocks[token / page];
    return (block * call_.kv_heads + source.kv_head) * page + token % page;
  }

  __device__ __forceinline__ void announce(const Task& task) {
    if (threadIdx.x % kGroup == 0) {
      device::wait_barrier(device::shared_address(&shared_.task_empty[tasks_.slot]),
                           tasks_.parity ^ 1);
      shared_.tasks[tasks_.slot] = task;
      device::arrive(device::shared_address(&shared_.task_full[tasks_.slot]));
    }
    __syncwarp();
    tasks_.advance(kTasks);
  }

  // Asks for the thread's pieces of an item.
  __device__ __forceinline__ void fetch(int item) {
    const int which = item % 2;
    if (which == 0) {
      rows_ = source_.rows;
      source_.rows = cache_rows(source_, item / 2 + 1);
    }
    const std::byte* cache = which == 0 ? call_.k_cache : call_.v_cache;
    const int first = source_.task.first_key + item / 2 * kKeys;
    uint4* to;
    int pass_pieces = C::kPassRows * 8;
    if (C::kCodes && !(C::kFp8Scores && which == 0)) {
      to = &shared_.raw[fetched_][0][threadIdx.x % kGroup];
      pass_pieces = kGroup;
      fetched_ = fetched_ + 1 == C::kRaw ? 0 : fetched_ + 1;
    } else {
      wait_empty(which, ahead_);
      to = which == 0 ? &shared_.k[ahead_.slot].at(row_, piece_)
                      : &shared_.v[ahead_.slot].at(row_, piece_);
      if (which == (C::kFp8Scores ? 0 : 1)) ahead_.advance(C::kKeyStages);
    }
#pragma unroll
    for (int pass = 0; pass < C::kPasses; ++pass) {
      const int row = pass * C::kPassRows + row_;
      const uint32_t base = __shfl_sync(0xFFFFFFFFu, rows_, row / 16) + row % 16;
      device::copy_async_16(to + pass * pass_pieces,
                            cache + int64_t{base} * C::kRowBytes + piece_ * 16,
                            first + row < source_.end);
    }
  }

  // Ends the copies just asked for, and hands over the item that came kAhead before.
  __device__ __forceinline__ void hand_over() {
    device::commit_copies();
    if (started_ < C::kAhead) {
      ++started_;
      return;
    }
    device::wait_for_copies<C::kAhead>();
    if constexpr (C::kFp8Scores) {  // keys are copied as they are, values converted
      if (which_ == 0) {
        publish(shared_.full[0][behind_.slot]);
        behind_.advance(C::kKeyStages);
      } else {
        convert(behind_values_, shared_.v[behind_values_.slot]);
        publish(shared_.full[1][behind_values_.slot]);
        behind_values_.advance(C::kStages);
      }
    } else {
      if constexpr (C::kCodes)
        convert(behind_, which_ == 0 ? shared_.k[behind_.slot] : shared_.v[behind_.slot]);
      publish(shared_.full[which_][behind_.slot]);
      if (which_ == 1) behind_.advance(C::kStages);
    }
    which_ ^= 1;
  }

  __device__ __forceinline__ void convert(const device::RingPosition& position,
                                          typename C::Tile& tile) {
    uint4
        codes[C::kPasses];  // all of them before the first store, which might be to the same place
#pragma unroll
    for (int pass = 0; pass < C::kPasses; ++pass)
      codes[pass] = shared_.raw[read_][pass][threadIdx.x % kGroup];
    read_ = read_ + 1 == C::kRaw ? 0 : read_ + 1;
    wait_empty(which_, position);
    uint4* even = &tile.at(row_, piece_ * 2);
    uint4* odd = &tile.at(row_, piece_ * 2 + 1);
#pragma unroll
    for (int pass = 0; pass < C::kPasses; ++pass) {
      const uint4& from = codes[pass];
      even[pass * C::kPassRows * 8] =
          uint4{device::decode_low_half2(from.x), device::decode_high_half2(from.x),
                device::decode_low_half2(from.y), device::decode_high_half2(from.y)};
      odd[pass * C::kPassRows * 8] =
          uint4{device::decode_low_half2(from.z), device::decode_high_half2(from.z),
                device::decode_low_half2(from.w), device::decode_high_half2(from.w)};
    }
  }

  __device__ __forceinline__ void wait_empty(int which, const device::RingPosition& position) {
    device::wait_barrier(device::shared_address(&shared_.empty[which][position.slot]),
                         position.parity ^ 1);
  }

  const AttentionCall& call_;
  Shared<C>& shared_;
  int row_, piece_;  // where the thread's pieces are in a tile, of the first pass
  Source source_;
  uint32_t rows_;
  int started_ = 0;              // items, up to kAhead
  int fetched_ = 0, read_ = 0;   // slots of raw
  int which_ = 0;                // of the item to hand over
  device::RingPosition ahead_;   // where elements are copied to
  device::RingPosition behind_;  // where items are handed over; of FP8 scores the keys
  device::RingPosition behind_values_;
  device::RingPosition tasks_;
};

}  // namespace octavo::cuda::context
