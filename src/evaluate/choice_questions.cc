// Reading and writing out of multiple-choice questions.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/choice_questions.h"

#include <fmt/format.h>

#include <optional>

#include "core/error.h"
#include "io/file.h"
#include "text/json_lines.h"

namespace octavo {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr size_t kMaxChoices = 26;

// 0 for "A" or "a".
std::optional<int64_t> index_of_letter(const std::string& text, size_t choices) {
  if (text.size() != 1) return std::nullopt;
  const char letter = text[0] >= 'a' ? static_cast<char>(text[0] - 'a' + 'A') : text[0];
  if (letter < 'A' || letter >= static_cast<char>('A' + choices)) return std::nullopt;
  return letter - 'A';
}

// The rows of a CSV file; a quoted cell may hold commas, line breaks and doubled quotes.
class CsvReader {
 public:
  CsvReader(const std::filesystem::path& path, std::string text)
      : file_(path.string()), text_(std::move(text)) {}

  // False at the end of the file.
  bool next(std::vector<std::string>& row) {
    row.clear();
    while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) skip_line_break();
    if (at_ == text_.size()) return false;
    row_line_ = line_;
    while (true) {
      row.push_back(at_ < text_.size() && text_[at_] == '"' ? quoted() : plain());
      if (at_ == text_.size() || text_[at_] != ',') break;
      ++at_;
    }
    if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r')
      throw fail("expected a comma or the end of the line after a quoted cell");
    return true;
  }

  Error fail(std::string_view reason) const {
    return bad_file(file_, fmt::format("line {}", row_line_), reason);
  }

 private:
  void skip_line_break() {
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }

  std::string plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r')
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  std::string quoted() {
    std::string cell;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] == '"') {
        ++at_;
        if (at_ == text_.size() || text_[at_] != '"') return cell;
      }
      cell += text_[at_];
    }
    throw fail("a quoted cell without an end");
  }

  std::string file_, text_;
  size_t at_ = 0;
  int64_t line_ = 1, row_line_ = 1;
};

std::vector<ChoiceQuestion> read_csv(const std::filesystem::path& path) {
  const File file = File::open_read(path);
  if (file.size() > kMaxFileBytes)
    throw bad_file(path.string(), "", fmt::format("more than {} MiB", kMaxFileBytes >> 20));
  CsvReader reader(path, file.read_text());
  std::vector<ChoiceQuestion> questions;
  for (std::vector<std::string> row; reader.next(row);) {
    if (row.size() < 4 || row.size() > kMaxChoices + 2)
      throw reader.fail(fmt::format(
          "expected a question, 2 to 26 choices and a letter, got {} cells", row.size()));
    const auto answer = index_of_letter(row.back(), row.size() - 2);
    if (!answer)
      throw reader.fail(fmt::format("expected the letter of a choice at the end, got \"{}\"",
                                    printable(row.back())));
    questions.push_back(
        {.question = row.front(), .choices = {row.begin() + 1, row.end() - 1}, .answer = *answer});
  }
  return questions;
}

ChoiceQuestion question_from(const JsonObject& line) {
  ChoiceQuestion question{.question = line.required_string("question"),
                          .choices = line.required("choices").as_strings(),
                          .subject = line.optional_string("subject").value_or("")};
  if (question.choices.size() < 2 || question.choices.size() > kMaxChoices)
    throw line.required("choices").mismatch("2 to 26 choices");
  const JsonField answer = line.required("answer");
  if (answer.is_string()) {
    const auto index = index_of_letter(answer.as_string(), question.choices.size());
    if (!index) throw answer.mismatch("the letter of a choice");
    question.answer = *index;
  } else {
    question.answer = answer.as_int({0, static_cast<int64_t>(question.choices.size()) - 1});
  }
  return question;
}

std::string written_out(const ChoiceQuestion& question) {
  std::string text = question.question + "\n";
  for (size_t i = 0; i < question.choices.size(); ++i)
    text += choice_letter(static_cast<int64_t>(i)) + ". " + question.choices[i] + "\n";
  return text + "Answer:";
}

}  // namespace

std::string choice_letter(int64_t index) { return std::string(1, static_cast<char>('A' + index)); }

std::vector<ChoiceQuestion> read_choice_questions(const std::filesystem::path& path) {
  std::vector<ChoiceQuestion> questions;
  if (path.extension() == ".csv") {
    questions = read_csv(path);
  } else {
    LineReader lines(path);
    read_json_lines(lines, {}, [&](const JsonObject& line) {
      questions.push_back(question_from(line));
      return true;
    });
  }
  if (questions.empty()) throw bad_file(path.string(), "", "expected at least one question");
  return questions;
}

std::string choice_prompt(std::span<const ChoiceQuestion> examples,
                          const ChoiceQuestion& question) {
  std::string text = question.subject.empty()
                         ? "The following are multiple choice questions (with answers).\n\n"
                         : fmt::format(
                               "The following are multiple choice questions (with "
                               "answers) about {}.\n\n",
                               question.subject);
  for (const ChoiceQuestion& example : examples)
    text += written_out(example) + " " + choice_letter(example.answer) + "\n\n";
  return text + written_out(question);
}

}  // namespace octavo
