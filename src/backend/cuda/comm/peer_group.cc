// Opening of groups.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/peer_group.h"

#include "backend/cuda/comm/peer_communicator.h"
#include "backend/cuda/comm/peer_memory.h"

namespace octavo {

std::vector<std::shared_ptr<Communicator>> open_peer_group(
    std::span<const std::shared_ptr<Device>> devices, const PeerGroupOptions& options) {
  const auto memory = std::make_shared<cuda::PeerMemory>(devices, options);
  std::vector<std::shared_ptr<Communicator>> ranks;
  for (const auto& device : devices) {
    const RankPlace place{
        .tp_size = options.tp_size, .pp_size = options.pp_size, .rank = std::ssize(ranks)};
    ranks.push_back(std::make_shared<cuda::PeerCommunicator>(
        memory, place, static_cast<cudaStream_t>(device->stream())));
  }
  return ranks;
}

}  // namespace octavo
