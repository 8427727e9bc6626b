// A GPU as a device: transfers, ranges, events, graphs, errors of memory.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_device.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>

#include "backend/cuda/device_call.h"
#include "core/error.h"

namespace octavo::testing {
namespace {

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    OCTAVO_REQUIRE_DEVICE();
    device_ = open_cuda_device(0);
    staging_ = device_->allocate_staging(kBytes);
    memory_ = device_->allocate(kBytes);
  }

  std::vector<int32_t> words() {
    device_->download(staging_.get(), memory_.get(), kBytes);
    device_->synchronize();
    const auto* first = reinterpret_cast<const int32_t*>(staging_.get());
    return {first, first + kBytes / 4};
  }

  static constexpr int64_t kBytes = 4096;
  std::unique_ptr<Device> device_;
  std::shared_ptr<std::byte[]> staging_, memory_;
};

TEST_F(CudaDeviceTest, SaysWhatItIs) {
  const DeviceProperties& properties = device_->properties();
  EXPECT_EQ(properties.type, DeviceType::kCuda);
  EXPECT_FALSE(properties.name.empty());
  EXPECT_GE(properties.compute_capability, 80);
  EXPECT_GT(properties.multiprocessors, 0);
  EXPECT_LE(device_->free_memory(), properties.memory_bytes);
  EXPECT_TRUE(device_->has_graphs());
  EXPECT_NE(device_->stream(), nullptr);
}

TEST_F(CudaDeviceTest, GathersRanges) {
  device_->zero(memory_.get(), kBytes);
  std::vector<int32_t> expected(kBytes / 4, 0);
  auto* from = reinterpret_cast<int32_t*>(staging_.get());
  std::iota(from, from + kBytes / 4, 1);
  const auto shared = device_->allocate_staging(kBytes);
  std::memcpy(shared.get(), staging_.get(), kBytes);
  const CopyRange ranges[] = {
      {.to = memory_.get(),
       .from = shared.get(),
       .bytes = 12,
       .rows = 5,
       .to_pitch = 32,
       .from_pitch = 12},
      {.to = memory_.get() + 1024, .from = shared.get() + 400, .bytes = 1000},
      {.to = memory_.get() + 4000, .from = shared.get(), .bytes = 0}};
  device_->gather(ranges);
  for (int row = 0; row < 5; ++row) {
    for (int i = 0; i < 3; ++i) expected[row * 8 + i] = row * 3 + i + 1;
  }
  for (int i = 0; i < 250; ++i) expected[256 + i] = 100 + i + 1;
  EXPECT_EQ(words(), expected);
}

TEST_F(CudaDeviceTest, GraphsReplay) {
  device_->zero(memory_.get(), kBytes);
  const auto source = device_->allocate(16);
  const int32_t value[4] = {1, 2, 3, 4};
  device_->upload(source.get(), reinterpret_cast<const std::byte*>(value), 16);
  const auto graph = device_->capture([&] { device_->copy(memory_.get() + 16, source.get(), 16); });
  EXPECT_EQ(words()[4], 0);
  graph->launch();
  const auto event = device_->make_event();
  event->record();
  event->wait();
  EXPECT_EQ(words()[7], 4);
}

TEST_F(CudaDeviceTest, AFailedCaptureLeavesTheDeviceUsable) {
  EXPECT_THROW(device_->capture([] { throw Error(ErrorCategory::kUnsupported, "no"); }), Error);
  device_->zero(memory_.get(), kBytes);
  EXPECT_EQ(words()[0], 0);
}

TEST_F(CudaDeviceTest, TooMuchMemoryNamesWhatIsFree) {
  try {
    device_->allocate(int64_t{1} << 50);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kOutOfMemory);
    EXPECT_NE(std::string(error.what()).find("are free"), std::string::npos) << error.what();
  }
  EXPECT_NE(device_->allocate(1 << 20), nullptr);
}

// A kernel reads where nothing is; from then on every call of this process must fail, and say so.
[[noreturn]] void lose_the_device() {
  const std::unique_ptr<Device> device = open_cuda_device(0);
  const std::shared_ptr<std::byte[]> memory = device->allocate(256);
  const auto is_device_error = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.category() == ErrorCategory::kDevice;
    }
    return false;
  };
  const CopyRange range{
      .to = memory.get(), .from = reinterpret_cast<const std::byte*>(16), .bytes = 256};
  const bool is_reported = is_device_error([&] {
    device->gather({&range, 1});
    device->synchronize();
  });
  const bool stays = is_device_error([&] { device->synchronize(); }) &&
                     is_device_error([&] { device->allocate(1 << 20); });
  std::_Exit(is_reported && stays ? exit_code(ErrorCategory::kDevice) : 0);
}

TEST(LostDevice, EveryLaterCallIsADeviceError) {
  OCTAVO_REQUIRE_DEVICE();
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(lose_the_device(), ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace octavo::testing
