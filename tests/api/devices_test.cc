// Choice of a device by name.
// SPDX-License-Identifier: Apache-2.0
#include "api/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cuda/cuda_device.h"
#include "core/error.h"

namespace octavo {
namespace {

using testing::HasSubstr;

std::string message_of(const std::string& asked) {
  try {
    return resolve_device(asked);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Devices, ResolvesNames) {
  EXPECT_EQ(message_of("cpu"), "cpu");
  EXPECT_THAT(message_of("tpu"), HasSubstr("expected auto|cpu|cuda, got \"tpu\""));
  const bool has_device = !cuda_devices().empty();
  EXPECT_EQ(message_of("auto"), has_device ? "cuda" : "cpu");
  if (has_device) {
    EXPECT_EQ(message_of("cuda"), "cuda");
  } else {
    EXPECT_THAT(message_of("cuda"), HasSubstr(has_cuda_backend() ? "no CUDA device" : "without"));
  }
}

TEST(Devices, OpensTheHost) {
  ThreadPool pool(1);
  const std::shared_ptr<Device> device = open_device("cpu", pool);
  EXPECT_EQ(device->type(), DeviceType::kCpu);
  EXPECT_EQ(device->pool(), &pool);
}

TEST(Devices, AnAbsentGpuIsAnError) {
  if (!cuda_devices().empty()) GTEST_SKIP() << "this machine has a CUDA device";
  EXPECT_THROW(open_cuda_device(0), Error);
}

}  // namespace
}  // namespace octavo
