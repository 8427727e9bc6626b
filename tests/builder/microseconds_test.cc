// The timers' clock counts microseconds and does not go back.
// SPDX-License-Identifier: Apache-2.0
#include "builder/microseconds.h"

#include <gtest/gtest.h>

#include <thread>

namespace octavo {
namespace {

TEST(Microseconds, CountWhatIsSlept) {
  const double start = microseconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  EXPECT_GE(microseconds() - start, 3000.0);
}

}  // namespace
}  // namespace octavo
