// What several GPUs of a machine are good for: which reach each other, and how a model is shared.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace octavo {

struct GpuPeers {
  int64_t gpus = 0;
  std::vector<std::pair<int, int>> apart;  // pairs that do not reach each other's memory
};

// Of this machine.
GpuPeers gpu_peers();

// Lines for `octavo doctor`; empty where there are not two GPUs.
std::string rank_advice(const GpuPeers& peers);

}  // namespace octavo
