// The devices that this program can use on this machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "builder/group_timer.h"
#include "comm/comm.h"
#include "core/device.h"
#include "octavo/config.h"
#include "program/engine_image.h"

namespace octavo {

// What "auto", "cpu" or "cuda" stands for here: "cpu" or "cuda". Throws Error(kUnsupported) for
// cuda where this program has no CUDA backend, Error(kDevice) where it finds no device,
// Error(kUsage) for other names.
std::string resolve_device(const std::string& asked);

// `resolved` is a name that resolve_device() returned; `pool` outlives the device.
std::shared_ptr<Device> open_device(const std::string& resolved, ThreadPool& pool, int index = 0);

// Those of `ranks` ranks: one is open_device(); several are GPUs from the first one on, or have an
// equal share of the pool's threads each, in a pool of their own. Throws Error(kUnsupported) where
// there are fewer GPUs.
std::vector<std::shared_ptr<Device>> open_devices(const std::string& resolved, ThreadPool& pool,
                                                  int64_t ranks);

// What the ranks on these devices say each other by, in order; null where runtime sees to it: for
// ranks of the host, and for one that runs alone.
std::vector<std::shared_ptr<Communicator>> open_comms(
    std::span<const std::shared_ptr<Device>> devices, const EngineConfig& config);

// What measures the sums of ranks with a norm behind them on the devices of one stage; null where
// nothing of them is chosen: on the host, without --reduce_fusion, or with fewer GPUs than ranks.
std::unique_ptr<GroupTimer> open_group_timer(const BuildConfig& resolved, ThreadPool& pool);

}  // namespace octavo
