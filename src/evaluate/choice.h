// Accuracy on multiple-choice questions, and a paired test of two models.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "evaluate/choice_questions.h"
#include "octavo/evaluate.h"
#include "runtime/runner.h"
#include "text/tokenizer.h"

namespace octavo {

struct ChoiceRun {
  std::span<const ChoiceQuestion> examples;        // before every question
  std::function<void(int64_t, int64_t)> progress;  // (questions done, in all)
};

// For every question whether the letter that the model finds likeliest after "Answer:" is the right
// one. Where a prompt is longer than the model takes, its first examples are left out;
// Error(kUsage) where the question alone is.
std::vector<bool> answer_questions(Runner& runner, const Tokenizer& tokenizer,
                                   std::span<const ChoiceQuestion> questions,
                                   const ChoiceRun& options);

// 95 %, Wilson's interval of a proportion.
Interval proportion_interval(int64_t hits, int64_t total);

// Two-sided exact test that both models are right equally often, from the questions that one of
// them alone has right (McNemar).
double paired_p_value(int64_t only_first, int64_t only_second);

}  // namespace octavo
