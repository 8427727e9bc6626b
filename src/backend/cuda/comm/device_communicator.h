// DeviceCommunicator: what ranks on GPUs have in common, whatever carries their matrices.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/launch.h"
#include "comm/comm.h"
#include "ops/add_rms_norm.h"

namespace octavo::cuda {

// Calls are asynchronous, in the order of the rank's stream, and may be captured into graphs.
class DeviceCommunicator : public Communicator {
 public:
  // `stream` is the rank's.
  DeviceCommunicator(const RankPlace& place, cudaStream_t stream)
      : place_(place), stream_(stream) {}

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

  // The same as part of a Program.
  virtual void all_reduce(const TensorView& x, const TensorView& y, const Launch& where) = 0;
  virtual void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis,
                              const Launch& where) = 0;
  virtual void all_gather(const TensorView& x, const TensorView& y, Axis axis,
                          const Launch& where) = 0;
  virtual void send(const TensorView& x, const Launch& where) = 0;
  virtual void recv(const TensorView& y, const Launch& where) = 0;
  // All-reduce, and what add_rms_norm does with it; x is used up. `pulls`: x is a user buffer, of
  // which every rank reads all, where it can.
  virtual void all_reduce_add_rms_norm(const AddRmsNormArgs& norm, bool pulls,
                                       const Launch& where) = 0;
  // The same with sums of this rank's rows alone; rows of a residual that is whole are left out.
  virtual void sharded_add_rms_norm(const AddRmsNormArgs& norm, const Launch& where) = 0;

 protected:
  RankPlace place_;
  cudaStream_t stream_;
};

}  // namespace octavo::cuda
