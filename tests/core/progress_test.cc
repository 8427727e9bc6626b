// Progress: rationing, bars, estimates, hostile messages.
// SPDX-License-Identifier: Apache-2.0
#include "core/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace octavo {
namespace {

class ProgressTest : public testing::Test {
 protected:
  TerminalProgressOptions options(bool is_terminal, int columns = 80) {
    return {.is_terminal = is_terminal,
            .columns = columns,
            .clock_s = [this] { return now_s; },
            .write = [this](std::string_view text) { output += text; }};
  }
  double now_s = 100;
  std::string output;
};

TEST_F(ProgressTest, LinesComeFirstThenEveryFewSecondsThenLast) {
  TerminalProgress progress(options(/*is_terminal=*/false));
  progress.update(0, 10, "calibrating");
  for (int i = 1; i <= 10; ++i) {
    now_s += 1;
    progress.update(i, 10, "calibrating");
  }
  progress.finish();
  EXPECT_EQ(output,
            "calibrating 0/10 (0%)\n"
            "calibrating 5/10 (50%), 5 s left\n"
            "calibrating 10/10 (100%), took 10 s\n");
}

TEST_F(ProgressTest, FinishAfterADrawnUpdateAddsNothing) {
  TerminalProgress progress(options(/*is_terminal=*/false));
  progress.update(1, 1, "one");
  progress.finish();
  progress.finish();
  EXPECT_EQ(output, "one 1/1 (100%), took 0 s\n");
}

TEST_F(ProgressTest, FinishShowsTheLatestState) {
  TerminalProgress progress(options(/*is_terminal=*/false));
  progress.update(1, 4, "read");
  now_s += 1;
  progress.update(3, 4, "read");
  progress.finish();
  EXPECT_THAT(output, testing::HasSubstr("read 3/4 (75%), 1 s left\n"));
}

TEST_F(ProgressTest, BarRedrawsInPlaceAndEndsWithANewline) {
  {
    TerminalProgress progress(options(/*is_terminal=*/true));
    progress.update(0, 4, "load");
    now_s += 0.05;  // too soon
    progress.update(1, 4, "load");
    now_s += 0.95;
    progress.update(2, 4, "load");
  }
  EXPECT_EQ(output,
            "\rload [........................] 0/4 (0%)\x1b[K"
            "\rload [############............] 2/4 (50%), 1 s left\x1b[K\n");
}

TEST_F(ProgressTest, BarFitsTheTerminal) {
  TerminalProgress progress(options(/*is_terminal=*/true, /*columns=*/11));
  progress.update(0, 4, "größere Maße");
  EXPECT_EQ(output, "\rgrößere Ma\x1b[K");
}

TEST_F(ProgressTest, ControlCharactersDoNotReachTheTerminal) {
  TerminalProgress progress(options(/*is_terminal=*/true));
  progress.update(0, 0, "a\x1b[2J\nb");
  EXPECT_EQ(output, "\ra\\x1b[2J\\x0ab 0\x1b[K");
}

TEST_F(ProgressTest, UnknownTotalCountsOnly) {
  TerminalProgress progress(options(/*is_terminal=*/false));
  progress.update(17, 0, "documents");
  EXPECT_EQ(output, "documents 17\n");
}

TEST_F(ProgressTest, OvershootStaysAtHundredPercent) {
  TerminalProgress progress(options(/*is_terminal=*/true));
  progress.update(9, 4, "x");
  EXPECT_THAT(output, testing::HasSubstr("(100%)"));
}

TEST_F(ProgressTest, ASecondBarHasItsOwnEstimate) {
  TerminalProgress progress(options(/*is_terminal=*/false));
  progress.update(0, 2, "first");
  now_s += 100;
  progress.finish();
  output.clear();
  progress.update(0, 10, "second");
  now_s += 5;
  progress.update(5, 10, "second");
  EXPECT_EQ(output, "second 0/10 (0%)\nsecond 5/10 (50%), 5 s left\n");
}

TEST(FormatDuration, PicksTheUnit) {
  EXPECT_EQ(format_duration(-1), "0 s");
  EXPECT_EQ(format_duration(59), "59 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(2 * 3600 + 4 * 60 + 10), "2 h 04 min");
  EXPECT_EQ(format_duration(1e300), "277777 h 46 min");
}

TEST(StderrProgress, CanBeMade) { EXPECT_NE(stderr_progress(), nullptr); }

}  // namespace
}  // namespace octavo
