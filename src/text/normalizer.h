// Normalizers of tokenizer.json: they rewrite the text before it is cut.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "io/json_object.h"

namespace octavo {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(std::string& text) const = 0;  // valid UTF-8 in and out
};

// NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Sequence; another type is Error(kUnsupported).
std::unique_ptr<const Normalizer> read_normalizer(const JsonField& field);

}  // namespace octavo
