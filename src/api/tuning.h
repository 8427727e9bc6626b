// Where measured times of kernels are kept.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "builder/tuning_records.h"

namespace octavo {

// OCTAVO_TUNED_DIR or the user's cache (XDG_CACHE_HOME, else ~/.cache)/octavo/tuned; behind it the
// records that come with this program: share/octavo/tuned beside its bin/, or tuned/ of the tree
// that it was built in.
TuningRecords open_tuning_records(const DeviceProperties& device, bool retune = false);

}  // namespace octavo
