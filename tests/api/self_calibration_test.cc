// Calibration sets that a model samples from itself.
// SPDX-License-Identifier: Apache-2.0
#include "api/self_calibration.h"

#include <gtest/gtest.h>

#include <set>

#include "api/api_support.h"
#include "core/host_device.h"
#include "io/test_support.h"

namespace octavo {
namespace {

class SelfCalibrationTest : public testing::Test {
 protected:
  CalibrationSet sample(const SelfCalibrationOptions& options) {
    return sample_calibration_set(model_, options, device_, silent_);
  }

  ModelDir model_ = open_model_dir(kPocket);
  ThreadPool pool_;
  HostDevice device_{pool_};
  SilentProgress silent_;
};

TEST_F(SelfCalibrationTest, DifferentTextsThatBeginWithBos) {
  const CalibrationSet set = sample({.size = 5, .max_length = 12});
  ASSERT_EQ(set.samples.size(), 5u);
  for (const std::vector<int32_t>& ids : set.samples) {
    EXPECT_EQ(ids.front(), model_.config.bos_token_id);
    EXPECT_GE(ids.size(), 2u);
    EXPECT_LE(ids.size(), 12u);
  }
  EXPECT_GT(std::set(set.samples.begin(), set.samples.end()).size(), 1u);
  EXPECT_EQ(set.source, "self-sampled");
  EXPECT_EQ(set.hash, hash_of(set.samples));
}

TEST_F(SelfCalibrationTest, TheSeedDecides) {
  const SelfCalibrationOptions options{.size = 3, .max_length = 8};
  const CalibrationSet first = sample(options);
  EXPECT_EQ(sample(options).samples, first.samples);
  // A sample is the same in a larger set: its seed is its own.
  const CalibrationSet more = sample({.size = 6, .max_length = 8});
  EXPECT_EQ(std::vector(more.samples.begin(), more.samples.begin() + 3), first.samples);
  EXPECT_NE(sample({.size = 3, .max_length = 8, .seed = 99}).samples, first.samples);
}

TEST_F(SelfCalibrationTest, NothingToBeginWith) {
  model_.config.bos_token_id = -1;
  EXPECT_EQ(error_of([&] { sample({.size = 1, .max_length = 4}); }).category(),
            ErrorCategory::kUsage);
}

}  // namespace
}  // namespace octavo
