// Sensitivity: what quantization does to the output of each linear.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "quant/quantized_weights.h"

namespace octavo {

// Relative error ‖y_quantized − y‖ / ‖y‖ of every quantized linear on one token sequence, its input
// taken from the 16-bit model; largest first. Error(kBadFile) naming the module where an output is
// not finite.
std::vector<std::pair<std::string, double>> linear_errors(const ModelDir& model,
                                                          const QuantizationPlan& plan,
                                                          const std::vector<int32_t>& sample,
                                                          const KernelRegistry& registry,
                                                          ThreadPool& pool);

}  // namespace octavo
