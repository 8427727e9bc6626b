// Whatever type it is read as, its values are finite.
// SPDX-License-Identifier: Apache-2.0
#include "builder/random_memory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/host_device.h"
#include "numerics/bf16.h"
#include "numerics/e4m3.h"

namespace octavo {
namespace {

float to_float(float value) { return value; }

template <typename T>
void expect_finite(const std::byte* data, int64_t bytes) {
  bool positive = false, negative = false;
  for (int64_t at = 0; at < bytes; at += static_cast<int64_t>(sizeof(T))) {
    T value;
    std::memcpy(&value, data + at, sizeof(T));
    const float number = to_float(value);
    ASSERT_TRUE(std::isfinite(number)) << at;
    (number > 0 ? positive : negative) = true;
  }
  EXPECT_TRUE(positive && negative);
}

TEST(RandomMemory, IsFiniteInEveryType) {
  constexpr int64_t kBytes = (int64_t{4} << 20) + 4096;  // more than one pattern
  ThreadPool pool(1);
  HostDevice device(pool);
  const auto memory = random_memory(device, kBytes);
  expect_finite<e4m3>(memory.get(), kBytes);
  expect_finite<bf16>(memory.get(), kBytes);
  expect_finite<float>(memory.get(), kBytes);
}

}  // namespace
}  // namespace octavo
