// Limits and checks of SamplingParams.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "octavo/config.h"

namespace octavo {

inline constexpr int32_t kMaxLogprobs = 20;
inline constexpr size_t kMaxStopStrings = 4;
inline constexpr size_t kMaxStopBytes = 4096;
inline constexpr size_t kMaxStopTokenIds = 1024;
// Below this a temperature is greedy: no probability but the largest would survive it.
inline constexpr float kMinTemperature = 1e-5f;

// Throws Error(kUsage), or kUnsupported, that names the field.
void validate(const SamplingParams& params, int64_t vocab_size);

bool is_greedy(const SamplingParams& params);
bool has_penalties(const SamplingParams& params);

}  // namespace octavo
