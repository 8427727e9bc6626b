// Calibrator: runs a model's Program over sample texts, layer by layer, with observers attached.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: peak memory is the weights of one layer plus the samples' hidden states, not the model; on
// a device, hidden states that do not fit spill to the host.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "model/model_dir.h"
#include "program/interpreter.h"
#include "quant/statistics.h"

namespace octavo {

struct CalibrationOptions {
  int64_t batch_size = 1;  // sequences a step
  DType dtype = DType::kBF16;
  bool observe_lm_head = false;
  bool allow_nonfinite = false;  // weights; activations must be finite in any case
  int64_t max_memory = 0;        // bytes of the device for everything; 0: what is free
  // Sees every call after the statistics did; may be null. On the host only.
  CallObserver observer;
  // Called after each layer with (done, total).
  std::function<void(int64_t, int64_t)> progress;
};

inline constexpr std::string_view kAllowNonFiniteHint = " (--allow-nonfinite keeps them)";

// Each sample is a token sequence; none may be empty. Throws Error(kBadFile) naming the weight that
// is not finite, or the module and the sample where an activation is not.
CalibrationStatistics calibrate(const ModelDir& model,
                                const std::vector<std::vector<int32_t>>& samples,
                                const KernelRegistry& registry, Device& device,
                                const CalibrationOptions& options);

}  // namespace octavo
