// Reads the words of a tactic, as "lead 1 fill 2".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace octavo::cuda {

// Words are apart by single spaces. What is wrong is an Error that names the tactic and the word.
class TacticWords {
 public:
  explicit TacticWords(std::string_view tactic) : tactic_(tactic), rest_(tactic) {}

  // False behind the last one.
  bool next();
  std::string_view word() const { return word_; }

  // The number behind the word, which is then the word.
  int number(int least, int most);

  [[noreturn]] void fail(std::string_view why) const;

 private:
  const std::string_view tactic_;
  std::string_view rest_, word_;
};

}  // namespace octavo::cuda
