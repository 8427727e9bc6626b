// Checks of a BuildConfig that need no weights, and what its defaults resolve to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "octavo/config.h"
#include "ops/kernel.h"

namespace octavo {

// What the checks need to know of a checkpoint.
struct CheckpointFacts {
  bool quantized = false;       // linears are FP8
  bool kv_scales = false;       // calibrated K and V scales are present
  int64_t devices = 1;          // that this machine could use
  int compute_capability = 0;   // of the GPU; 0: none, or not known
  bool dynamic_inputs = false;  // every quantized input gets its scales at run time
};

// Refuses by name every combination that cannot work, before any weight is read:
// Error(kUnsupported) saying what to change, Error(kUsage) for values out of range. Returns notices
// for what is accepted but has no effect.
std::vector<std::string> check_build_options(const BuildConfig& options, const ModelConfig& config,
                                             const CheckpointFacts& facts);

// "auto" is the CPU: whoever knows the machine's devices has put one in its place.
DeviceType resolved_device(const BuildConfig& options);

// The element type of activations: as asked for; "auto" is float32 for float32 checkpoints, else
// bfloat16.
DType activation_dtype(const BuildConfig& options, const ModelConfig& config);

int64_t resolved_max_seq_len(const BuildConfig& options, const ModelConfig& config);

}  // namespace octavo
