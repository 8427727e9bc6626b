// tokenizer_config.json: the names of the special tokens.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/json_object.h"
#include "text/tokenizer.h"

namespace octavo {

// Tokens that are named or added here must be tokens of `tokenizer`: Error(kBadFile) for a name,
// Error(kUnsupported) for an added token that tokenizer.json lacks.
TokenizerInfo read_tokenizer_config(const JsonObject& object, const Tokenizer& tokenizer);

}  // namespace octavo
