// From LLMArgs to the options of loading, quantizing and running.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "octavo/llm.h"
#include "octavo/quantize.h"

namespace octavo {

ModelOptions model_options(const LLMArgs& args);
RuntimeOptions runtime_options(const LLMArgs& args);

// What has to be quantized before it can be built; nothing where quant_config asks for nothing or
// the checkpoint is so already. The caller adds the output directory. Error(kUnsupported) where the
// model is of another quantization.
std::optional<QuantizeOptions> quantize_options(const LLMArgs& args);

}  // namespace octavo
