// Tests of the read bandwidth: windows go round, and little memory is left alone.
// SPDX-License-Identifier: Apache-2.0
#include "measure/read_bandwidth.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(ReadBandwidth, WindowsGoRound) {
  ThreadPool pool(2);
  ReadBandwidth memory(1 << 20);
  for (int i = 0; i < 5; ++i) EXPECT_GT(memory.time_window(3 << 18, pool), 0.0);
}

TEST(ReadBandwidth, IsNotMeasuredWhereMemoryIsShort) {
  ThreadPool pool(1);
  EXPECT_FALSE(measure_read_bandwidth(0, pool));
  EXPECT_FALSE(measure_read_bandwidth(uint64_t{1} << 30, pool));
}

}  // namespace
}  // namespace octavo
