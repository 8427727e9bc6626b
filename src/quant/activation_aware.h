// Activation-aware channel scales: channels that see large inputs keep more of their weights.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/thread_pool.h"
#include "ops/kernel.h"
#include "quant/calibrator.h"
#include "quant/channel_fold.h"

namespace octavo {

struct ActivationAwareOptions {
  QuantScheme weights;
  std::set<std::string> modules;  // that will be quantized
  CalibrationOptions calibration;
};

// The model with channels folded by the scales that lose least: s = mean|x|^α, normalised, α the
// best of a grid of 20 for each group of linears, by the squared error of their outputs on sampled
// rows of the calibration set. α = 0 is in the grid, so that no group gets worse on those rows.
ModelDir fold_activation_aware(const ModelDir& model,
                               const std::vector<std::vector<int32_t>>& samples,
                               const KernelRegistry& registry, ThreadPool& pool,
                               const ActivationAwareOptions& options);

}  // namespace octavo
