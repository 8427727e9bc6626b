// A calibration set that the 16-bit model samples from itself: nothing has to be downloaded.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/device.h"
#include "model/model_dir.h"
#include "octavo/progress.h"
#include "quant/calibration_set.h"

namespace octavo {

struct SelfCalibrationOptions {
  int64_t size = 512;
  int64_t max_length = 512;  // tokens a sample, BOS included
  uint64_t seed = 1234;
};

// `size` continuations of BOS at temperature 1, each with its own seed. The same model and options
// give the same set. Throws Error(kUsage) asking for --calib_dataset where the model does not fit
// in memory or has no BOS.
CalibrationSet sample_calibration_set(const ModelDir& model, const SelfCalibrationOptions& options,
                                      Device& device, Progress& progress);

}  // namespace octavo
