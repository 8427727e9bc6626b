// Logs go to stderr, from the chosen level on.
// SPDX-License-Identifier: Apache-2.0
#include "core/log.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(LogTest, WritesToStderrFromTheLevelOn) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  set_log_level(LogLevel::kWarning);
  log_info("hidden {}", 1);
  log_warning("shown {}", 2);
  set_log_level(LogLevel::kInfo);
  log_info("shown {}", 3);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: shown 2\ninfo: shown 3\n");
}

}  // namespace
}  // namespace octavo
