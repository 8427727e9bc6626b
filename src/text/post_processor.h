// Post-processors of tokenizer.json: the ids put before and behind a text.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "io/json_object.h"

namespace octavo {

struct SpecialAffixes {
  std::vector<int32_t> before, behind;
};

// ByteLevel (changes no ids), TemplateProcessing, Sequence; another type is Error(kUnsupported).
SpecialAffixes read_post_processor(const JsonField& field);

}  // namespace octavo
