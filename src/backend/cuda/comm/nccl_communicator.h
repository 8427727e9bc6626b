// NcclCommunicator: the calls of a rank that is a process, as NCCL's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/cuda/comm/device_communicator.h"
#include "backend/cuda/comm/nccl_links.h"

namespace octavo::cuda {

class NcclCommunicator final : public DeviceCommunicator {
 public:
  NcclCommunicator(std::shared_ptr<ProcessGroup> processes, std::shared_ptr<NcclLinks> links,
                   const RankPlace& place, cudaStream_t stream);
  ~NcclCommunicator() override;

  using DeviceCommunicator::all_gather;
  using DeviceCommunicator::all_reduce;
  using DeviceCommunicator::recv;
  using DeviceCommunicator::reduce_scatter;
  using DeviceCommunicator::send;
  void check() const override { links_->check(); }
  void end_step() override { links_->mark(); }
  bool programmatic() const override { return false; }
  void abort() noexcept override { processes_->fail("the ranks were stopped"); }

  void all_reduce(const TensorView& x, const TensorView& y, const Launch& where) override;
  void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis,
                      const Launch& where) override;
  void all_gather(const TensorView& x, const TensorView& y, Axis axis,
                  const Launch& where) override;
  void send(const TensorView& x, const Launch& where) override;
  void recv(const TensorView& y, const Launch& where) override;
  void all_reduce_add_rms_norm(const AddRmsNormArgs& norm, bool pulls,
                               const Launch& where) override;
  void sharded_add_rms_norm(const AddRmsNormArgs& norm, const Launch& where) override;

 private:
  void call(const char* what, NcclComm comm, const std::function<int()>& work);
  // Each rank's rows of x, ceil(rows / ranks) of them, are summed there; y holds this rank's.
  void reduce_rows(const TensorView& x, const TensorView& y, const Launch& where);
  // Rows [each × rank, each × (rank + 1)) of y are that rank's; `own` holds this one's.
  void gather_rows(const TensorView& own, const TensorView& y, int64_t each, const Launch& where);

  std::shared_ptr<ProcessGroup> processes_;
  std::shared_ptr<NcclLinks> links_;
  const NcclApi& api_;
};

}  // namespace octavo::cuda
