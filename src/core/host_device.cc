// The host as a device.
// SPDX-License-Identifier: Apache-2.0
#include "core/host_device.h"

#include <unistd.h>

#include <cstring>

#include "core/tensor.h"

namespace octavo {
namespace {

class HostEvent final : public DeviceEvent {
 public:
  void record() override {}
  void wait() override {}
};

class HostGraph final : public DeviceGraph {
 public:
  explicit HostGraph(std::function<void()> work) : work_(std::move(work)) {}
  void launch() override { work_(); }

 private:
  std::function<void()> work_;
};

int64_t pages(int name) { return std::max<int64_t>(0, sysconf(name)) * sysconf(_SC_PAGESIZE); }

void copy_bytes(std::byte* to, const std::byte* from, int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
}

}  // namespace

std::string_view to_string(DeviceType device) {
  return device == DeviceType::kCpu ? "cpu" : "cuda";
}

HostDevice::HostDevice(ThreadPool& pool, bool graphs) : pool_(pool), graphs_(graphs) {
  properties_ = {.type = DeviceType::kCpu,
                 .name = "host",
                 .memory_bytes = pages(_SC_PHYS_PAGES),
                 .devices = kHostRanks};
}

int64_t HostDevice::free_memory() const { return pages(_SC_AVPHYS_PAGES); }

std::shared_ptr<std::byte[]> HostDevice::allocate(int64_t bytes) { return allocate_host(bytes); }

std::shared_ptr<std::byte[]> HostDevice::allocate_staging(int64_t bytes) {
  return allocate_host(bytes);
}

void HostDevice::upload(std::byte* to, const std::byte* from, int64_t bytes) {
  copy_bytes(to, from, bytes);
}

void HostDevice::gather(std::span<const CopyRange> ranges) {
  for (const CopyRange& range : ranges) {
    for (int64_t row = 0; row < range.rows; ++row)
      copy_bytes(range.to + row * range.to_pitch, range.from + row * range.from_pitch, range.bytes);
  }
}

void HostDevice::download(std::byte* to, const std::byte* from, int64_t bytes) {
  copy_bytes(to, from, bytes);
}

void HostDevice::copy(std::byte* to, const std::byte* from, int64_t bytes) {
  copy_bytes(to, from, bytes);
}

void HostDevice::zero(std::byte* to, int64_t bytes) {
  if (bytes > 0) std::memset(to, 0, static_cast<size_t>(bytes));
}

std::unique_ptr<DeviceEvent> HostDevice::make_event() { return std::make_unique<HostEvent>(); }

std::unique_ptr<DeviceGraph> HostDevice::capture(std::function<void()> work) {
  return std::make_unique<HostGraph>(std::move(work));
}

}  // namespace octavo
