// Algorithms: from statistics to scales; and the table of the formats that `--qformat` names.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "core/quant_scheme.h"
#include "quant/statistics.h"

namespace octavo {

struct Algorithm {
  std::string_view name;
  // Scales from the statistics of one tensor.
  float (*scale)(const TensorStatistics& statistics);
};

extern const Algorithm kMaxAlgorithm;  // amax / 448

// One value of --qformat. A format without an algorithm leaves the linears in 16 bit.
struct QuantFormat {
  std::string_view name;
  std::string_view description;
  LinearScheme linears;
  const Algorithm* algorithm;
  bool activation_aware = false;  // channels are scaled first (quant/activation_aware.h)

  // Whether its scales depend on what the model computes.
  bool needs_calibration() const {
    return activation_aware || (linears.inputs.quantized() && !linears.inputs.dynamic);
  }
};

std::span<const QuantFormat> quant_formats();
// Throws Error(kUnsupported) listing the supported formats.
const QuantFormat& find_quant_format(std::string_view name);

}  // namespace octavo
