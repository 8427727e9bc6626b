// PeerCommunicator: one GPU's calls, as kernels on its stream.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/cuda/device/peer_links.cuh"
#include "backend/cuda/launch.h"
#include "comm/comm.h"
#include "ops/add_rms_norm.h"

namespace octavo::cuda {

class PeerMemory;

class PeerCommunicator final : public Communicator {
 public:
  // `memory` is what all ranks of the group share; `stream` is the rank's.
  PeerCommunicator(std::shared_ptr<PeerMemory> memory, const RankPlace& place, cudaStream_t stream);

  const RankPlace& place() const override { return place_; }
  void all_reduce(const TensorView& x, const TensorView& y) override {
    all_reduce(x, y, {.stream = stream_});
  }
  void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis) override {
    reduce_scatter(x, y, axis, {.stream = stream_});
  }
  void all_gather(const TensorView& x, const TensorView& y, Axis axis) override {
    all_gather(x, y, axis, {.stream = stream_});
  }
  void send(const TensorView& x) override { send(x, {.stream = stream_}); }
  void recv(const TensorView& y) override { recv(y, {.stream = stream_}); }
  void check() const override;
  void abort() noexcept override;

  // The same as part of a Program.
  void all_reduce(const TensorView& x, const TensorView& y, const Launch& where);
  void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis, const Launch& where);
  void all_gather(const TensorView& x, const TensorView& y, Axis axis, const Launch& where);
  void send(const TensorView& x, const Launch& where);
  void recv(const TensorView& y, const Launch& where);
  // All-reduce, and what add_rms_norm does with it; x is used up. `pulls`: x is a user buffer, of
  // which every rank reads all; else few rows are pushed, and many are summed where they are.
  void all_reduce_add_rms_norm(const AddRmsNormArgs& norm, bool pulls, const Launch& where);
  // The same with sums of this rank's rows alone; rows of a residual that is whole are left out.
  void sharded_add_rms_norm(const AddRmsNormArgs& norm, const Launch& where);
  // Whether a row of so many elements is one that a group of threads holds, as both need it.
  static bool holds_row(DType dtype, int64_t width);

  // Whether matrices of this size are pushed whole.
  bool pushes(const TensorView& x, const TensorView& y) const;
  const device::PeerLinks& links() const { return links_; }

 private:
  std::shared_ptr<PeerMemory> memory_;
  RankPlace place_;
  cudaStream_t stream_;
  device::PeerLinks links_;
};

}  // namespace octavo::cuda
