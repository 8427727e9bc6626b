// Max calibration: nothing that was seen is clipped.
// SPDX-License-Identifier: Apache-2.0
#include "numerics/scale.h"
#include "quant/algorithm.h"

namespace octavo {

const Algorithm kMaxAlgorithm = {
    .name = "max",
    .scale = [](const TensorStatistics& statistics) { return safe_scale(statistics.amax); },
};

}  // namespace octavo
