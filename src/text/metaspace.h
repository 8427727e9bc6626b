// The fields that the Metaspace pre-tokenizer and decoder share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "io/json_object.h"

namespace octavo {

enum class PrependScheme { kFirst, kNever, kAlways };

struct Metaspace {
  std::string replacement;  // one character
  PrependScheme prepend_scheme;
  bool split;
};

Metaspace read_metaspace(const JsonObject& object);

}  // namespace octavo
