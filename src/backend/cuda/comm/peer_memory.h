// PeerMemory: what the ranks of a group write to, on the GPU of each, and their faults.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend/cuda/comm/peer_group.h"
#include "backend/cuda/device/peer_links.cuh"

namespace octavo::cuda {

class PeerMemory {
 public:
  PeerMemory(std::span<const std::shared_ptr<Device>> devices, const PeerGroupOptions& options);

  const PeerGroupOptions& options() const { return options_; }
  device::PeerLinks links_of(const RankPlace& place) const;

  // Throws Error(kDevice) naming the rank that others waited for in vain.
  void check() const;
  void stop() noexcept;

 private:
  struct Rank {
    std::shared_ptr<Device> device;  // outlives its memory
    std::shared_ptr<std::byte[]> state, inbox;
  };

  device::PeerFaults& faults() const {
    return *reinterpret_cast<device::PeerFaults*>(faults_.get());
  }
  device::PeerState* state_of(int64_t rank) const;

  PeerGroupOptions options_;
  int64_t inbox_packets_;
  std::vector<Rank> ranks_;
  std::shared_ptr<std::byte[]> faults_;
};

}  // namespace octavo::cuda
