// Detokenizes, then looks for stop strings.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/text_stream.h"

namespace octavo {

TextStream::TextStream(const Tokenizer& tokenizer, const SamplingParams& params)
    : detokenizer_(tokenizer, params.skip_special_tokens),
      vocab_size_(tokenizer.vocab_size()),
      min_tokens_(params.min_tokens),
      include_stop_(params.include_stop_str_in_output) {
  if (!params.stop.empty()) stops_.emplace(params.stop, include_stop_);
}

std::string TextStream::push(int32_t token, bool is_end) {
  ++num_tokens_;
  if (stopped() || (is_end && !include_stop_)) return "";
  // A padded embedding has rows that are no token.
  if (token < 0 || token >= vocab_size_) return "";
  return match(detokenizer_.push(token));
}

std::string TextStream::finish() {
  if (stopped()) return "";
  std::string text = match(detokenizer_.finish());
  if (stops_) text += stops_->finish();
  return text;
}

// A stop string cannot begin before the token that fulfils min_tokens.
std::string TextStream::match(std::string piece) {
  return stops_ && num_tokens_ >= min_tokens_ ? stops_->push(piece) : piece;
}

}  // namespace octavo
