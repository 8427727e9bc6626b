// Rows from one stage of a pipeline to the next.
// SPDX-License-Identifier: Apache-2.0
//
// Every rank launches the same kernel with the same sizes; its blocks wait for those of the same
// index on the other ranks, so that all of them must be resident: at most PeerLinks::blocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/device/peer_links.cuh"
#include "backend/cuda/launch.h"

namespace octavo::cuda {

using device::PeerLinks;

// Rows to the next stage and from the previous one: sent when the receiver says where to. y is
// dense, and aligned as x is.
struct PeerRows {
  std::byte* data;
  int64_t stride;  // bytes
  int64_t rows;
  int64_t row_bytes;
};
void launch_send(const PeerLinks& links, const PeerRows& x, const Launch& where);
void launch_receive(const PeerLinks& links, const PeerRows& y, const Launch& where);

}  // namespace octavo::cuda
