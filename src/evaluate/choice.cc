// Multiple-choice scoring and its statistics.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace octavo {
namespace {

// The token of a letter where an answer stands.
int32_t letter_token(const Tokenizer& tokenizer, int64_t index) {
  return tokenizer.encode("Answer: " + choice_letter(index), /*add_special_tokens=*/false).back();
}

std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, const ChoiceQuestion& question,
                                std::span<const ChoiceQuestion> examples, int64_t most) {
  for (size_t left_out = 0; left_out <= examples.size(); ++left_out) {
    std::vector<int32_t> ids =
        tokenizer.encode_plain(choice_prompt(examples.subspan(left_out), question));
    if (std::ssize(ids) <= most) return ids;
  }
  throw Error(ErrorCategory::kUsage,
              fmt::format("a question of more than the {} tokens that the model takes: \"{}…\"",
                          most, printable(question.question.substr(0, 60))));
}

}  // namespace

std::vector<bool> answer_questions(Runner& runner, const Tokenizer& tokenizer,
                                   std::span<const ChoiceQuestion> questions,
                                   const ChoiceRun& options) {
  std::vector<bool> right;
  for (const ChoiceQuestion& question : questions) {
    const std::vector<int32_t> ids =
        prompt_ids(tokenizer, question, options.examples, runner.config().max_seq_len);
    int64_t best = 0;
    runner.visit_logits(ids, [&](int64_t position, std::span<const float> logits) {
      if (position + 1 != std::ssize(ids)) return;
      const auto logit = [&](int64_t index) {
        return logits[static_cast<size_t>(letter_token(tokenizer, index))];
      };
      for (int64_t i = 1; i < std::ssize(question.choices); ++i) {
        if (logit(i) > logit(best)) best = i;
      }
    });
    right.push_back(best == question.answer);
    if (options.progress) options.progress(std::ssize(right), std::ssize(questions));
  }
  return right;
}

Interval proportion_interval(int64_t hits, int64_t total) {
  constexpr double kZ = 1.959963984540054;  // 97.5 % of a normal distribution lie below it
  const auto n = static_cast<double>(total);
  const double share = static_cast<double>(hits) / n;
  const double middle = (share + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half =
      kZ / (1 + kZ * kZ / n) * std::sqrt(share * (1 - share) / n + kZ * kZ / (4 * n * n));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

double paired_p_value(int64_t only_first, int64_t only_second) {
  const int64_t total = only_first + only_second;
  const auto n = static_cast<double>(total);
  double tail = 0;
  for (int64_t k = 0; k <= std::min(only_first, only_second); ++k) {
    const auto i = static_cast<double>(k);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(i + 1) - std::lgamma(n - i + 1) -
                     n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace octavo
