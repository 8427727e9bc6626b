// Multiple-choice files: both layouts, quotes, and every malformed line by its number.
// SPDX-License-Identifier: Apache-2.0
#include "evaluate/choice_questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ChoiceQuestionsTest : public testing::Test {
 protected:
  std::vector<ChoiceQuestion> read(const char* name, std::string_view text) {
    return read_choice_questions(folder_.write(name, text));
  }
  std::string refusal(const char* name, std::string_view text) {
    try {
      read(name, text);
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kBadFile);
      return error.what();
    }
    return "";
  }

  TemporaryDirectory folder_;
};

TEST_F(ChoiceQuestionsTest, QuotedCellsHoldAnything) {
  const auto questions =
      read("a.csv", "What is 1+1?,1,2,3,4,B\r\n\n\"Which, of \"\"these\"\",\nis it?\",x,\"y\",b");
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].answer, 1);
  EXPECT_THAT(questions[0].choices, ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(questions[1].question, "Which, of \"these\",\nis it?");
  EXPECT_THAT(questions[1].choices, ElementsAre("x", "y"));
  EXPECT_EQ(questions[1].answer, 1);
}

TEST_F(ChoiceQuestionsTest, MalformedRowsAreNamed) {
  EXPECT_THAT(refusal("a.csv", "q,1,2,A\nq,1,2,C\n"), HasSubstr("line 2"));
  EXPECT_THAT(refusal("a.csv", "q,1,A\n"), HasSubstr("3 cells"));
  EXPECT_THAT(refusal("a.csv", "q,\"1,2,A\n"), HasSubstr("without an end"));
  EXPECT_THAT(refusal("a.csv", "\"q\"x,1,2,A\n"), HasSubstr("after a quoted cell"));
  EXPECT_THAT(refusal("a.csv", "\n"), HasSubstr("at least one question"));
}

TEST_F(ChoiceQuestionsTest, JsonLinesWithIndexOrLetter) {
  const auto questions =
      read("a.jsonl",
           "{\"question\": \"q\", \"choices\": [\"x\", \"y\", \"z\"], \"answer\": 2, \"subject\": "
           "\"s\"}\n"
           "{\"question\": \"r\", \"choices\": [\"x\", \"y\"], \"answer\": \"a\"}\n");
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].answer, 2);
  EXPECT_EQ(questions[0].subject, "s");
  EXPECT_EQ(questions[1].answer, 0);
  for (const char* line : {R"({"question": "q", "choices": ["x"], "answer": 0})",
                           R"({"question": "q", "choices": ["x", "y"], "answer": 2})",
                           R"({"question": "q", "choices": ["x", "y"], "answer": "C"})",
                           R"({"question": "q", "choices": ["x", "y"]})", R"({"choices": []})"})
    EXPECT_THAT(refusal("a.jsonl", line), HasSubstr("1")) << line;
}

TEST_F(ChoiceQuestionsTest, PromptsEndWhereTheLetterStands) {
  const ChoiceQuestion question = {
      .question = "Q?", .choices = {"x", "y"}, .answer = 1, .subject = "tests"};
  EXPECT_EQ(choice_prompt({}, question),
            "The following are multiple choice questions (with answers) about tests.\n\n"
            "Q?\nA. x\nB. y\nAnswer:");
  EXPECT_THAT(choice_prompt({&question, 1}, question),
              HasSubstr("Answer: B\n\nQ?\nA. x\nB. y\nAnswer:"));
}

}  // namespace
}  // namespace octavo
