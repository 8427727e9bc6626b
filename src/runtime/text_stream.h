// The text of one request while its tokens arrive, up to its stop strings.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/sampling_params.h"
#include "text/detokenizer.h"
#include "text/stop_strings.h"

namespace octavo {

class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const SamplingParams& params);

  // The text that is certain after this token; empty behind a stop string. An end id (`is_end`)
  // shows only where stop strings do.
  std::string push(int32_t token, bool is_end);
  // What was held back: the start of a stop string, or half a character.
  std::string finish();
  bool stopped() const { return stops_ && stops_->match(); }

 private:
  std::string match(std::string piece);

  Detokenizer detokenizer_;
  std::optional<StopMatcher> stops_;
  int64_t vocab_size_;
  int64_t min_tokens_;
  bool include_stop_;
  int64_t num_tokens_ = 0;
};

}  // namespace octavo
