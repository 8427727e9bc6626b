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

// E4M3 rounds everything up to here to its largest code, 448; what is larger is clipped. Max calibration stays below,
// also where amax / 448 was rounded down.
inline constexpr float kE4M3ClipsAbove = 464.0f;

extern const Algorithm kMaxAlgorithm;  // amax / 448

// One value of --qformat. A format without an algorithm leaves the linears in 16 bit.
struct QuantFormat {
  std::string_view name;
  std::string_view description;
  QuantScheme weights;
  const Algorithm* algorithm;
};

std::span<const QuantFormat> quant_formats();
// Throws Error(kUnsupported) listing the supported formats.
const QuantFormat& find_quant_format(std::string_view name);

}  // namespace octavo
