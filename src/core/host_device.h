// HostDevice: the machine's own memory and threads behind the interface of a device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/device.h"

namespace octavo {

// The ranks that a host can be: threads, which share its memory.
inline constexpr int kHostRanks = 8;

// Everything is done when a call returns, so that events and synchronize() have nothing to wait
// for. With `graphs` it says that it has graphs, which repeat the work: what runs on a device is
// then tested without one.
class HostDevice final : public Device {
 public:
  explicit HostDevice(ThreadPool& pool, bool graphs = false);

  const DeviceProperties& properties() const override { return properties_; }
  int64_t free_memory() const override;
  std::shared_ptr<std::byte[]> allocate(int64_t bytes) override;
  std::shared_ptr<std::byte[]> allocate_staging(int64_t bytes) override;
  void upload(std::byte* to, const std::byte* from, int64_t bytes) override;
  void gather(std::span<const CopyRange> ranges) override;
  void download(std::byte* to, const std::byte* from, int64_t bytes) override;
  void copy(std::byte* to, const std::byte* from, int64_t bytes) override;
  void zero(std::byte* to, int64_t bytes) override;
  void synchronize() override {}
  std::unique_ptr<DeviceEvent> make_event() override;
  bool has_graphs() const override { return graphs_; }
  std::unique_ptr<DeviceGraph> capture(std::function<void()> work) override;
  ThreadPool* pool() override { return &pool_; }

 private:
  ThreadPool& pool_;
  bool graphs_;
  DeviceProperties properties_;
};

}  // namespace octavo
