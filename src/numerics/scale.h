// Scale rules of FP8: how an amax becomes a scale and how values are quantized with it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/e4m3.h"

namespace octavo {

// scale = amax / largest code (448 of E4M3) in fp32, guarded: an amax of zero gives 1 (all codes
// are zero, dequantization is exact), and the result is never subnormal, so that its reciprocal is
// finite. `amax` must be finite and >= 0: throws Error(kInternal) otherwise, callers check their
// data first.
float safe_scale(float amax, float largest_code = kE4M3Max);

// code = to_e4m3(value × (1 / scale)), the reciprocal rounded to fp32 once. Kernels of every device
// use this form, which is what makes their bytes equal.
inline float inverse_scale(float scale) { return 1.0f / scale; }
inline e4m3 quantize(float value, float inverse) { return to_e4m3(value * inverse); }

// A scale from a file: finite, positive and normal.
bool valid_scale(float scale);

}  // namespace octavo
