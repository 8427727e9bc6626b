// All-reduce of few rows with the residual add, RMS norm and quantize behind it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/device/peer_links.cuh"
#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {

using device::PeerLinks;

// `rows.x` is this rank's part. Rows of bfloat16 in vectors of 8, one group each, at most
// PeerLinks::blocks of them, whose packets fit in an inbox.
void launch_reduce_norm(const PeerLinks& links, const NormRows& rows, const Launch& where);

}  // namespace octavo::cuda
