// ScoringModel: a loaded model that gives the logits of one sequence at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/model_source.h"

namespace octavo {

class ScoringModel {
 public:
  // For sequences of `context` tokens; 0: of any length that the model takes. Error(kUsage) where
  // the model takes fewer.
  ScoringModel(LoadedModel loaded, int64_t context);

  const LoadedModel& loaded() const { return loaded_; }
  Runner& runner() { return *runner_; }

 private:
  LoadedModel loaded_;
  std::unique_ptr<Runner> runner_;
};

// The documents as one token stream, each followed by the model's end id.
std::vector<int32_t> scored_stream(const Tokenizer& tokenizer,
                                   const std::vector<int32_t>& eos_token_ids,
                                   const std::vector<std::string>& documents);

}  // namespace octavo
