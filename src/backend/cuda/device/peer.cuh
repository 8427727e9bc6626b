// How blocks of one kernel on several devices wait for each other and pass packets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/peer_links.cuh"
#include "backend/cuda/device/ptx/system.cuh"

namespace octavo::device {

// The number of the call that runs, from 1; blocks of a grid agree on it, and ranks too.
__device__ __forceinline__ uint32_t this_call(const PeerLinks& links, PeerChannel channel) {
  return links.states[links.index]->calls[channel][blockIdx.x] + 1;
}

// After all threads have asked for this_call(): counts it. A later grid may have more blocks, so
// that the counts of all are advanced, each by the one block that read or could have read it.
__device__ __forceinline__ void end_call(const PeerLinks& links, PeerChannel channel,
                                         uint32_t call) {
  uint32_t* const calls = links.states[links.index]->calls[channel];
  for (int b = blockIdx.x + threadIdx.x * gridDim.x; b < kPeerBlocks; b += blockDim.x * gridDim.x)
    calls[b] = call;
}

// Polls until `ready()`. False where the peer of that rank did not come in time, or nobody waits
// any more: the caller then ends, whatever its results.
template <typename Ready>
__device__ __forceinline__ bool wait_for_peer(const PeerLinks& links, int rank,
                                              const Ready& ready) {
  constexpr uint32_t kPollsBetweenLooks = 4096;  // the host's memory is far
  uint64_t start = 0;
  for (uint32_t polls = 1; !ready(); ++polls) {
    if (polls % kPollsBetweenLooks != 0) continue;
    if (load_system(&links.faults->stop) != 0) return false;
    const uint64_t now = nanoseconds();
    if (start == 0) start = now;
    if (now - start < links.patience_ns) continue;
    store_system(&links.faults->waits[links.rank], static_cast<uint32_t>(rank) + 1);
    fence_system();
    store_system(&links.faults->stop, 1);
    return false;
  }
  return true;
}

// Packets of a call, from one rank of the stage to another.
__device__ __forceinline__ Packet* inbox(const PeerLinks& links, int to, int from, uint32_t call) {
  return links.inboxes[to] +
         (static_cast<int64_t>(call & 1u) * links.size + from) * links.inbox_packets;
}

__device__ __forceinline__ bool has_arrived(const uint4& packet, uint32_t call) {
  return packet.y == call && packet.w == call;
}

__device__ __forceinline__ void put_packet(Packet* to, uint32_t data0, uint32_t data1,
                                           uint32_t call) {
  store_system(reinterpret_cast<uint4*>(to), make_uint4(data0, call, data1, call));
}

__device__ __forceinline__ void put_address(Packet* to, const void* address, uint32_t call) {
  const auto bits = reinterpret_cast<uint64_t>(address);
  put_packet(to, static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32), call);
}

// The address in a packet of this call from a rank; null where it does not come.
__device__ __forceinline__ std::byte* take_address(const PeerLinks& links, const Packet* from,
                                                   int rank, uint32_t call) {
  uint4 packet;
  const bool came = wait_for_peer(links, rank, [&] {
    packet = load_system(reinterpret_cast<const uint4*>(from));
    return has_arrived(packet, call);
  });
  if (!came) return nullptr;
  return reinterpret_cast<std::byte*>(static_cast<uint64_t>(packet.z) << 32 | packet.x);
}

}  // namespace octavo::device
