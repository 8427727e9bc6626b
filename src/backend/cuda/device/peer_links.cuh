// What ranks that are GPUs of one process hold for each other in device memory, and where it is.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace octavo::device {

inline constexpr int kMaxPeers = 8;      // ranks of a stage
inline constexpr int kMaxRanks = 64;     // of all stages
inline constexpr int kPeerBlocks = 128;  // of a kernel that talks to peers, at most: all resident

// Eight bytes of data on their way to a peer. A store of 8 bytes arrives whole, so that data whose
// flag is there is there too: no fence, no second message.
struct alignas(16) Packet {
  uint32_t data0, flag0, data1, flag1;
};

// Ways of talking, each with a count of its calls.
enum PeerChannel {
  kPushChannel,
  kMeetChannel,
  kSendChannel,
  kReceiveChannel,
  kNormChannel,
  kPeerChannels
};

// What peers write to; one a rank. Block b of a kernel talks to block b of the peer's. Counts of
// calls are flags: they live here, so that a graph's every replay goes on where the last one ended.
struct PeerState {
  uint32_t calls[kPeerChannels][kPeerBlocks];  // finished ones; the rank's own
  Packet posts[kMaxPeers][kPeerBlocks][2];     // where x and y are, by rank of the stage
  uint32_t ends[kMaxPeers][kPeerBlocks];       // calls that a rank has finished with
  Packet receiver[kPeerBlocks];                // where the next stage wants its copy
  uint32_t sent[kPeerBlocks];                  // calls that the previous stage has finished
  // Of sums with a norm: posts by calls modulo 2, and calls that a rank has finished with.
  Packet norm_posts[2][kMaxPeers][kPeerBlocks][2];
  uint32_t norm_ends[kMaxPeers][kPeerBlocks];
};

// Host memory that every rank reaches.
struct PeerFaults {
  uint32_t stop;              // not 0: nobody waits any more
  uint32_t waits[kMaxRanks];  // 1 + the rank that this one waited for in vain; 0: none
};

struct PeerLinks {
  int index;       // within the stage
  int size;        // of the stage
  int first_rank;  // of the stage
  int rank;
  int blocks;                    // of a kernel, at most
  PeerState* states[kMaxPeers];  // of the stage's ranks
  PeerState* next;               // of the same index in the next stage; null: there is none
  PeerState* previous;
  // [calls, modulo 2][rank of the stage][inbox_packets].
  Packet* inboxes[kMaxPeers];
  int64_t inbox_packets;
  PeerFaults* faults;
  uint64_t patience_ns;
};

}  // namespace octavo::device
