// Multiple-choice questions from files in MMLU's layout.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace octavo {

struct ChoiceQuestion {
  std::string question;
  std::vector<std::string> choices;  // 2 to 26
  int64_t answer = 0;                // index of the right one
  std::string subject;               // may be empty
};

// A name that ends in .csv: rows "question,A,B,C,D,answer letter" with RFC 4180's quotes and no
// header. Otherwise JSON lines: `question`, `choices` (a list), `answer` (an index or a letter),
// and `subject` where there is one. Error(kBadFile) names every malformed line.
std::vector<ChoiceQuestion> read_choice_questions(const std::filesystem::path& path);

// "A" for 0.
std::string choice_letter(int64_t index);

// The examples with their answers, then the question, up to "Answer:".
std::string choice_prompt(std::span<const ChoiceQuestion> examples, const ChoiceQuestion& question);

}  // namespace octavo
