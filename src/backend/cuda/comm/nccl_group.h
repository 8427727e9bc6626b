// Ranks that are processes with a GPU each, on one host or several, and move matrices through NCCL.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "comm/comm.h"
#include "comm/process_group.h"
#include "core/device.h"

namespace octavo {

struct NcclLibrary {
  bool found = false;
  std::string text;  // version and path, or why there is none
};
NcclLibrary nccl_library();

// The communicator of this process's rank, which stands at `place`; called by all processes.
// `device` is one that open_cuda_device() gave. Calls are asynchronous, may be part of graphs, and
// are asked for by one thread alone. Sums are NCCL's: in an order that it chooses by size and
// links, where 16-bit terms may be rounded on the way. A rank that ends, stalls or fails ends all:
// check() then says so. Throws Error(kEnvironment) where NCCL is missing.
std::shared_ptr<Communicator> open_nccl_rank(Device& device,
                                             std::shared_ptr<ProcessGroup> processes,
                                             const RankPlace& place);

}  // namespace octavo
