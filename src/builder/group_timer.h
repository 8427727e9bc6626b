// GroupTimer: measures calls between ranks on all of the devices that will make them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "builder/kernel_timer.h"
#include "comm/comm.h"
#include "core/device.h"

namespace octavo {

// One device and communicator a rank of a stage. What it says is one measurement of all ranks,
// kept: ranks that are planned one after another choose alike, as calls between them must.
class GroupTimer {
 public:
  struct Rank {
    std::shared_ptr<Device> device;
    std::shared_ptr<Communicator> comm;
  };

  explicit GroupTimer(std::vector<Rank> ranks) : ranks_(std::move(ranks)) {}

  // Sums with a norm behind them, and the gathers that go with their sharded form.
  static bool measures(const Problem& problem);

  // Every candidate with every tactic of its own, fastest first; the time of a call is that of the
  // slowest rank.
  const std::vector<KernelTime>& time(const Problem& problem,
                                      std::span<const Kernel* const> candidates);

 private:
  double time_one(const Kernel& kernel, const std::string& tactic, const Problem& problem);

  std::vector<Rank> ranks_;
  std::map<std::string, std::vector<KernelTime>> times_;
};

}  // namespace octavo
