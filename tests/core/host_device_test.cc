// The host as a device: transfers, graphs that repeat, properties.
// SPDX-License-Identifier: Apache-2.0
#include "core/host_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace octavo {
namespace {

class HostDeviceTest : public testing::Test {
 protected:
  std::string text(const std::shared_ptr<std::byte[]>& memory, size_t count) const {
    return {reinterpret_cast<const char*>(memory.get()), count};
  }
  const std::byte* bytes(const char* text) const {
    return reinterpret_cast<const std::byte*>(text);
  }

  ThreadPool pool_{1};
  HostDevice device_{pool_};
};

TEST_F(HostDeviceTest, IsTheHost) {
  EXPECT_EQ(device_.type(), DeviceType::kCpu);
  EXPECT_EQ(to_string(device_.type()), "cpu");
  EXPECT_EQ(to_string(DeviceType::kCuda), "cuda");
  EXPECT_GT(device_.properties().memory_bytes, 0);
  EXPECT_GT(device_.free_memory(), 0);
  EXPECT_LE(device_.free_memory(), device_.properties().memory_bytes);
  EXPECT_EQ(device_.pool(), &pool_);
  EXPECT_EQ(device_.stream(), nullptr);
  EXPECT_FALSE(device_.has_graphs());
}

TEST_F(HostDeviceTest, MovesBytes) {
  const auto a = device_.allocate(8), b = device_.allocate_staging(8);
  device_.upload(a.get(), bytes("abcdefgh"), 8);
  device_.copy(b.get(), a.get(), 4);
  device_.zero(b.get() + 4, 4);
  EXPECT_EQ(text(b, 8), std::string("abcd\0\0\0\0", 8));
  device_.download(b.get() + 2, a.get() + 6, 2);
  EXPECT_EQ(text(b, 4), "abgh");
  device_.upload(a.get(), nullptr, 0);
  device_.zero(nullptr, 0);
}

TEST_F(HostDeviceTest, GathersRowsWithGaps) {
  const auto to = device_.allocate(12), from = device_.allocate_staging(6);
  device_.zero(to.get(), 12);
  std::memcpy(from.get(), "abcdef", 6);
  const CopyRange ranges[] = {
      {.to = to.get(), .from = from.get(), .bytes = 2, .rows = 3, .to_pitch = 4, .from_pitch = 2},
      {.to = to.get() + 3, .from = from.get(), .bytes = 1},
      {.to = to.get(), .from = from.get(), .bytes = 0, .rows = 5}};
  device_.gather(ranges);
  EXPECT_EQ(text(to, 12), std::string("ab\0acd\0\0ef\0\0", 12));
}

TEST_F(HostDeviceTest, GraphsRepeatTheirWork) {
  HostDevice with_graphs(pool_, /*graphs=*/true);
  EXPECT_TRUE(with_graphs.has_graphs());
  int count = 0;
  const auto graph = with_graphs.capture([&count] { ++count; });
  EXPECT_EQ(count, 0);
  graph->launch();
  graph->launch();
  EXPECT_EQ(count, 2);
  const auto event = with_graphs.make_event();
  event->wait();
  event->record();
  event->wait();
  with_graphs.synchronize();
}

}  // namespace
}  // namespace octavo
