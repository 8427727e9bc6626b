// Token ids to text, one at a time, without ever emitting half a character.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/decoder.h"
#include "text/tokenizer.h"

namespace octavo {

// The returned pieces joined equal Tokenizer::decode of all ids, and each is valid UTF-8. Held back
// are an incomplete character and, with byte fallback, a run of byte tokens until it ends.
class Detokenizer {
 public:
  Detokenizer(Tokenizer tokenizer, bool skip_special_tokens);

  std::string push(int32_t id);
  // The rest; an incomplete character becomes U+FFFD. Afterwards a new sequence may begin.
  std::string finish();

 private:
  void pass(std::string_view token, size_t step, std::string& out);

  Tokenizer tokenizer_;
  bool skip_special_tokens_;
  std::vector<std::unique_ptr<DecodeStep>> steps_;
};

}  // namespace octavo
