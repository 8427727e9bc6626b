// Communicator: what one rank of a model that several ranks share says to the others.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: the same bytes on every rank, in a fixed order of summation; no call that waits for ever.
// Non-goals: choosing what is cut where (builder/shard), starting ranks (runtime).
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace octavo {

// Where a rank stands: stages of a pipeline, each a group of tensor parallel ranks.
struct RankPlace {
  int64_t tp_size = 1;
  int64_t pp_size = 1;
  int64_t rank = 0;

  int64_t ranks() const { return tp_size * pp_size; }
  int64_t index() const { return rank % tp_size; }  // within the group of its stage
  int64_t stage() const { return rank / tp_size; }
  bool is_first_stage() const { return stage() == 0; }
  bool is_last_stage() const { return stage() == pp_size - 1; }
};

// All matrices are of float32 or bfloat16; what only moves may be of any type. Collective calls are
// made by every rank of a stage, in the same order. Each throws Error(kDevice) naming the rank that
// failed or stalled where another one did; the communicators of all ranks are then of no use any
// more.
class Communicator {
 public:
  enum class Axis { kRows, kColumns };

  virtual ~Communicator() = default;
  virtual const RankPlace& place() const = 0;

  // y = x of rank 0 + x of rank 1 + …, in this order, in float32, rounded once. x and y are
  // different memory.
  virtual void all_reduce(const TensorView& x, const TensorView& y) = 0;
  // The own part of that sum: columns, or ceil(rows / ranks) rows, of which those beyond the last
  // one are zero.
  virtual void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis) = 0;
  // Everybody's x beside or below each other; rows beyond y's last one are left out.
  virtual void all_gather(const TensorView& x, const TensorView& y, Axis axis) = 0;
  // To and from the rank of the same index in the next and in the previous stage.
  virtual void send(const TensorView& x) = 0;
  virtual void recv(const TensorView& y) = 0;

  // Where calls return before their work is done: throws as they do where it failed since.
  virtual void check() const {}
  // All calls of a step were asked for.
  virtual void end_step() {}
  // Whether its kernels let the next one start before they end, as programmatic launches need it.
  virtual bool programmatic() const { return true; }
  // Ends all waiting of all ranks, now and later.
  virtual void abort() noexcept {}
};

}  // namespace octavo
