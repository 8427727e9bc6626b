// Observation by the host and by a device's kernel give the same statistics.
// SPDX-License-Identifier: Apache-2.0
#include "quant/tensor_observer.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "core/host_device.h"

namespace octavo {
namespace {

// What the kernel of a device does, on the host.
void observe_rows(const ObservedRows& x, const LaunchContext&) {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t column = 0; column < x.columns; ++column) {
      const float value = static_cast<const float*>(x.data)[row * x.row_stride + column];
      const uint32_t bits = std::bit_cast<uint32_t>(value) & 0x7FFFFFFFu;
      ++x.totals->exponents[bits >> 23];
      if (bits < 0x7F800000u) x.totals->amax_bits = std::max(x.totals->amax_bits, bits);
    }
  }
}

const DeviceKernels kKernels = {.device = DeviceType::kCpu, .observe = observe_rows};

TEST(TensorObserver, DeviceAndHostAgree) {
  ThreadPool pool(1);
  HostDevice device(pool);
  TensorObserver host(device, nullptr, 4), kernel(device, &kKernels, 4);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  float values[] = {1, -2.5f, 0, 1e-30f, 7, kInf, -kInf, std::nanf(""), 3e38f, 4, 5, 6};
  TensorView strided(values, DType::kF32, {3, 3});
  strided.row_stride = 4;
  const TensorView dense(values, DType::kF32, {2, 2});
  for (int round = 0; round < 2; ++round) {
    for (const TensorView& view : {strided, dense}) {
      EXPECT_NE(host.observe(view), nullptr);
      EXPECT_EQ(kernel.observe(view), nullptr);
    }
    const auto a = host.finish(), b = kernel.finish();
    ASSERT_EQ(a.size(), 2u);
    ASSERT_EQ(b.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(a[i].nonfinite, b[i].nonfinite);
      EXPECT_EQ(a[i].statistics.amax, b[i].statistics.amax);
      EXPECT_EQ(a[i].statistics.count, b[i].statistics.count);
      EXPECT_EQ(a[i].statistics.exponents, b[i].statistics.exponents);
    }
    EXPECT_GT(a[0].nonfinite, 0u);
  }
  EXPECT_TRUE(host.finish().empty());
  EXPECT_TRUE(kernel.finish().empty());
}

}  // namespace
}  // namespace octavo
