// Sums of many rows with the norm behind them: a rank's rows are read where the others have them.
// SPDX-License-Identifier: Apache-2.0
//
// Every rank launches the same kernel with the same sizes; its blocks wait for those of the same
// index on the other ranks, so that all of them must be resident: at most PeerLinks::blocks.
#pragma once

#include "backend/cuda/comm/row_share.h"
#include "backend/cuda/device/peer_links.cuh"
#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {

using device::PeerLinks;

// bfloat16 rows in vectors of 8, one group each.
struct MeetNorm {
  // x and y are whole; residual and sum begin with the share's first row, and `rows` are the
  // share's.
  NormRows rows;
  int64_t first_row = 0;
  int64_t most_rows = 0;  // of any rank's share
  // The share's rows of y are written to every rank, and the call ends when all have written
  // theirs. Else each rank has all rows for itself, and returns while others may still read x.
  bool to_all = true;
};
void launch_meet_norm(const PeerLinks& links, const MeetNorm& norm, const Launch& where);

}  // namespace octavo::cuda
