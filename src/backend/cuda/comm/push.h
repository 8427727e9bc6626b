// All-reduce of few elements between the ranks of a stage.
// SPDX-License-Identifier: Apache-2.0
//
// Every rank launches the same kernel with the same sizes; its blocks wait for those of the same
// index on the other ranks, so that all of them must be resident: at most PeerLinks::blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/device/peer_links.cuh"
#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

using device::PeerLinks;

// y = the sum of all x. Few elements, which are sent to every peer: one way of the link and no
// wait but for the data itself.
struct PushReduce {
  const void* x;  // aligned to 16 bytes, as y is
  void* y;
  int64_t bytes;  // a multiple of 16; at most 8 × inbox_packets
  DType dtype;
};
void launch_push_reduce(const PeerLinks& links, const PushReduce& reduce, const Launch& where);

}  // namespace octavo::cuda
