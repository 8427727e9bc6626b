// PeerCommunicator: one GPU's calls, as kernels on its stream.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/cuda/comm/device_communicator.h"
#include "backend/cuda/device/peer_links.cuh"

namespace octavo::cuda {

class PeerMemory;

class PeerCommunicator final : public DeviceCommunicator {
 public:
  // `memory` is what all ranks of the group share; `stream` is the rank's.
  PeerCommunicator(std::shared_ptr<PeerMemory> memory, const RankPlace& place, cudaStream_t stream);

  using DeviceCommunicator::all_gather;
  using DeviceCommunicator::all_reduce;
  using DeviceCommunicator::recv;
  using DeviceCommunicator::reduce_scatter;
  using DeviceCommunicator::send;
  void check() const override;
  void abort() noexcept override;

  void all_reduce(const TensorView& x, const TensorView& y, const Launch& where) override;
  void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis,
                      const Launch& where) override;
  void all_gather(const TensorView& x, const TensorView& y, Axis axis,
                  const Launch& where) override;
  void send(const TensorView& x, const Launch& where) override;
  void recv(const TensorView& y, const Launch& where) override;
  // Without `pulls` few rows are pushed, and many are summed where they are.
  void all_reduce_add_rms_norm(const AddRmsNormArgs& norm, bool pulls,
                               const Launch& where) override;
  void sharded_add_rms_norm(const AddRmsNormArgs& norm, const Launch& where) override;
  // Whether a row of so many elements is one that a group of threads holds, as both need it.
  static bool holds_row(DType dtype, int64_t width);

  // Whether matrices of this size are pushed whole.
  bool pushes(const TensorView& x, const TensorView& y) const;
  const device::PeerLinks& links() const { return links_; }

 private:
  std::shared_ptr<PeerMemory> memory_;
  device::PeerLinks links_;
};

}  // namespace octavo::cuda
