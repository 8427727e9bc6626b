// The sample text before and after quantization.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "octavo/quantize.h"

namespace octavo {

// Fills prompt, text_before and text_after where the model has a tokenizer and fits in memory.
void add_sample_texts(QuantizeReport& report, const QuantizeOptions& options);

}  // namespace octavo
