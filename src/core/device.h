// Device: memory, transfers, events and graphs of one accelerator, or of the host in its place.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: whoever runs a Program says what happens in which order, and nothing of how a device does
// it. Non-goals: kernels (they stand in the registry), several streams of one caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/thread_pool.h"

namespace octavo {

enum class DeviceType : uint8_t { kCpu, kCuda };
std::string_view to_string(DeviceType device);

struct DeviceProperties {
  DeviceType type = DeviceType::kCpu;
  std::string name;
  int compute_capability = 0;  // 90 for 9.0; 0 on the host
  int multiprocessors = 0;
  int64_t memory_bytes = 0;
  int64_t l2_bytes = 0;
  double bytes_per_s = 0;     // its memory's at best; 0: not known
  double fp8_flop_per_s = 0;  // its tensor cores' at best; 0: not known
  int driver_version = 0;     // 13000 for 13.0
  int runtime_version = 0;    // of the library that this program was built with
  int devices = 1;            // of its kind in this machine: so many ranks can have one each
};

// Rows of bytes; both sides may have gaps between rows.
struct CopyRange {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  int64_t bytes = 0;  // of one row
  int64_t rows = 1;
  int64_t to_pitch = 0;
  int64_t from_pitch = 0;
};

// A point in the order of a device's work.
class DeviceEvent {
 public:
  virtual ~DeviceEvent() = default;
  virtual void record() = 0;
  // Returns when everything before the last record() is done; at once where there was none.
  virtual void wait() = 0;
};

// Work captured once and launched many times.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  virtual void launch() = 0;
};

// All work of a device runs in the order in which it was asked for; calls return before it is done
// unless they say otherwise. Errors of the device surface as Error(kDevice) in a later call. Memory
// must be gone before the device is.
class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceProperties& properties() const = 0;
  DeviceType type() const { return properties().type; }
  // Makes it the device of the calling thread's kernels: called before any is launched on it by a
  // thread that may have used another one. Its own functions do so by themselves.
  virtual void activate() {}
  virtual int64_t free_memory() const = 0;  // bytes that could be allocated now

  // Memory of the device, not initialised; Error(kOutOfMemory) with bytes asked for and free.
  virtual std::shared_ptr<std::byte[]> allocate(int64_t bytes) = 0;
  // Memory of the host that the device reaches by itself, for gather() and download().
  virtual std::shared_ptr<std::byte[]> allocate_staging(int64_t bytes) = 0;

  // Host memory of any kind; it may be reused when the call returns.
  virtual void upload(std::byte* to, const std::byte* from, int64_t bytes) = 0;
  // Staging memory, into at most kMaxRanges places at once; it must stay as it is until an event
  // behind the call was reached.
  static constexpr size_t kMaxRanges = 12;
  virtual void gather(std::span<const CopyRange> ranges) = 0;
  // Into staging memory, complete when an event behind the call was reached.
  virtual void download(std::byte* to, const std::byte* from, int64_t bytes) = 0;
  virtual void copy(std::byte* to, const std::byte* from, int64_t bytes) = 0;
  virtual void zero(std::byte* to, int64_t bytes) = 0;
  virtual void synchronize() = 0;

  virtual std::unique_ptr<DeviceEvent> make_event() = 0;
  // What is asked for later comes after the last record() of an event of another device.
  virtual void wait_for(DeviceEvent& event) { event.wait(); }
  // Whether graphs are worth their while: the host's only repeat the work.
  virtual bool has_graphs() const = 0;
  // Captures what `work` asks for without running it; the host keeps `work` to repeat it.
  virtual std::unique_ptr<DeviceGraph> capture(std::function<void()> work) = 0;

  virtual ThreadPool* pool() { return nullptr; }  // of host kernels
  virtual void* stream() { return nullptr; }      // of device kernels: cudaStream_t
};

}  // namespace octavo
