// Ranks that are GPUs of one process and reach each other's memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "comm/comm.h"
#include "core/device.h"

namespace octavo {

struct PeerGroupOptions {
  int64_t tp_size = 1;
  int64_t pp_size = 1;
  // A GPU that has waited for another one for so long gives up.
  std::chrono::milliseconds stall_limit{6000};
  // All-reduces of at most so many bytes are pushed whole to every rank; larger ones are shared.
  int64_t push_bytes = int64_t{512} << 10;
  // Of a kernel that waits for other ranks, at most: those of all ranks of a GPU are resident.
  int blocks = 128;
};

// The communicators of all ranks, in order; `devices` are those that open_cuda_device() gave, one a
// rank. Calls are asynchronous, may be part of graphs, and are asked for by the rank's thread
// alone. A rank that stalls ends them all: check() then says so. Throws Error(kUnsupported) naming
// two devices that do not reach each other's memory.
std::vector<std::shared_ptr<Communicator>> open_peer_group(
    std::span<const std::shared_ptr<Device>> devices, const PeerGroupOptions& options);

}  // namespace octavo
