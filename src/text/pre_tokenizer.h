// Pre-tokenizers of tokenizer.json: they cut the text into the words that the model sees.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/json_object.h"

namespace octavo {

struct Word {
  std::string text;  // never empty
  bool starts_text;  // begins where the whole input begins
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(std::vector<Word>& words) const = 0;
};

// ByteLevel, Metaspace, Split, Digits, Sequence; another type is Error(kUnsupported).
std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const JsonField& field);

}  // namespace octavo
