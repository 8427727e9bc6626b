// Words of tactics.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/tactic_words.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"

namespace octavo::testing {
namespace {

std::string error_of(std::string_view tactic, bool with_number) {
  try {
    cuda::TacticWords words(tactic);
    while (words.next()) {
      if (with_number) words.number(2, 16);
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TacticWords, WordsAndNumbersInTheirOrder) {
  cuda::TacticWords words("keys split 8 x");
  std::vector<std::string> seen;
  while (words.next()) {
    seen.emplace_back(words.word());
    if (words.word() == "split") {
      EXPECT_EQ(words.number(8, 8), 8);
    }
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"keys", "split", "x"}));
  EXPECT_EQ(error_of("", false), "");
}

TEST(TacticWords, ErrorsNameTheTactic) {
  for (const char* tactic : {" ", " a", "a ", "a  b"})
    EXPECT_EQ(error_of(tactic, false),
              std::string("tactic \"") + tactic + "\": words are apart by single spaces");
  for (const char* tactic : {"split", "split 1", "split 17", "split 4.5", "split 99999999999"})
    EXPECT_EQ(error_of(tactic, true),
              std::string("tactic \"") + tactic + "\": \"split\" wants a number from 2 to 16");
}

}  // namespace
}  // namespace octavo::testing
