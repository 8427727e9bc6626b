// Allocation of what ranks share.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/peer_memory.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backend/cuda/cuda_check.h"
#include "core/checked.h"

namespace octavo::cuda {
namespace {

int index_of(Device& device) {
  device.activate();
  int index = 0;
  OCTAVO_CUDA_CHECK(cudaGetDevice(&index));
  return index;
}

// Lets `from` read and write the memory of `to`, all that it has and will have.
void open_access(Device& from, Device& to) {
  const int other = index_of(to), own = index_of(from);
  if (own == other) return;
  int possible = 0;
  OCTAVO_CUDA_CHECK(cudaDeviceCanAccessPeer(&possible, own, other));
  if (possible == 0) {
    throw Error(ErrorCategory::kUnsupported,
                fmt::format("GPU {} ({}) does not reach the memory of GPU {} ({}): as ranks "
                            "of one process they cannot share a model; started by mpirun or "
                            "torchrun, a process each, they share it through NCCL",
                            own, from.properties().name, other, to.properties().name));
  }
  const cudaError_t status = cudaDeviceEnablePeerAccess(other, 0);
  if (status == cudaErrorPeerAccessAlreadyEnabled) {
    cudaGetLastError();
    return;
  }
  check(status, "cudaDeviceEnablePeerAccess");
}

}  // namespace

PeerMemory::PeerMemory(std::span<const std::shared_ptr<Device>> devices,
                       const PeerGroupOptions& options)
    : options_(options),
      inbox_packets_(round_up(std::max<int64_t>(options.push_bytes, 16), 16) / 8) {
  OCTAVO_CHECK(std::ssize(devices) == options.tp_size * options.pp_size);
  if (options.tp_size > device::kMaxPeers || std::ssize(devices) > device::kMaxRanks) {
    throw Error(
        ErrorCategory::kUnsupported,
        fmt::format("--tp_size {} × --pp_size {}: GPUs share a model in stages of at most "
                    "{}, {} in all",
                    options.tp_size, options.pp_size, device::kMaxPeers, device::kMaxRanks));
  }
  for (const auto& from : devices) {
    for (const auto& to : devices) open_access(*from, *to);
  }
  faults_ = devices.front()->allocate_staging(sizeof(device::PeerFaults));
  std::memset(faults_.get(), 0, sizeof(device::PeerFaults));
  const auto state_bytes = static_cast<int64_t>(sizeof(device::PeerState));
  const int64_t inbox_bytes =
      2 * options.tp_size * inbox_packets_ * static_cast<int64_t>(sizeof(device::Packet));
  for (const auto& device : devices) {
    ranks_.push_back({device, device->allocate(state_bytes), device->allocate(inbox_bytes)});
    device->zero(ranks_.back().state.get(), state_bytes);
    device->zero(ranks_.back().inbox.get(), inbox_bytes);
  }
  for (const auto& device : devices) device->synchronize();
}

device::PeerState* PeerMemory::state_of(int64_t rank) const {
  return reinterpret_cast<device::PeerState*>(ranks_[static_cast<size_t>(rank)].state.get());
}

device::PeerLinks PeerMemory::links_of(const RankPlace& place) const {
  const int64_t first = place.stage() * place.tp_size;
  device::PeerLinks links = {
      .index = static_cast<int>(place.index()),
      .size = static_cast<int>(place.tp_size),
      .first_rank = static_cast<int>(first),
      .rank = static_cast<int>(place.rank),
      .blocks = std::clamp(options_.blocks, 1, device::kPeerBlocks),
      .inbox_packets = inbox_packets_,
      .faults = &faults(),
      .patience_ns = static_cast<uint64_t>(options_.stall_limit.count()) * 1'000'000};
  for (int64_t i = 0; i < place.tp_size; ++i) {
    links.states[i] = state_of(first + i);
    links.inboxes[i] =
        reinterpret_cast<device::Packet*>(ranks_[static_cast<size_t>(first + i)].inbox.get());
  }
  if (!place.is_last_stage()) links.next = state_of(place.rank + place.tp_size);
  if (!place.is_first_stage()) links.previous = state_of(place.rank - place.tp_size);
  return links;
}

void PeerMemory::check() const {
  if (std::atomic_ref(faults().stop).load(std::memory_order_acquire) == 0) return;
  std::string waits;
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    const uint32_t other = std::atomic_ref(faults().waits[rank]).load(std::memory_order_relaxed);
    if (other == 0) continue;
    if (!waits.empty()) waits += "; ";
    waits += fmt::format("rank {} stalled: rank {} waited {} ms for it", other - 1, rank,
                         options_.stall_limit.count());
  }
  throw Error(ErrorCategory::kDevice, waits.empty() ? "the ranks were stopped" : waits);
}

void PeerMemory::stop() noexcept {
  std::atomic_ref(faults().stop).store(1, std::memory_order_release);
}

}  // namespace octavo::cuda
