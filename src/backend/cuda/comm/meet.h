// Exchanges of many elements between the ranks of a stage.
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

// Part of a matrix, in vectors of `width` elements of `dtype`.
struct PeerMatrix {
  std::byte* data;
  int64_t stride;  // bytes between rows
};
struct PeerPart {
  int64_t first_row = 0;
  int64_t first_vector = 0;
  int64_t rows = 0;
  int64_t vectors = 0;  // of a row
};

// Every rank sums its part of all ranks' x, where they are, and writes it to the y of all ranks,
// or to its own alone.
struct MeetReduce {
  PeerMatrix x, y;
  PeerPart part;       // of x; of y too where all get it, else y holds nothing more
  int64_t x_rows;      // rows beyond are zero
  int64_t most_items;  // of any rank's part
  bool to_all;
  int width;  // 16 bytes' elements, or 1
  DType dtype;
};
void launch_meet_reduce(const PeerLinks& links, const MeetReduce& reduce, const Launch& where);

// Every rank writes its x to a place in the y of all ranks.
struct MeetGather {
  PeerMatrix x, y;
  PeerPart to;         // in y; rows and words of x
  int64_t most_items;  // of any rank's x
  int word;            // bytes: 16 or 1
};
void launch_meet_gather(const PeerLinks& links, const MeetGather& gather, const Launch& where);

}  // namespace octavo::cuda
