// The read bandwidth of the machine's memory, by a plain streaming read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/thread_pool.h"

namespace octavo {

// Reads memory that no cache holds, window after window.
class ReadBandwidth {
 public:
  explicit ReadBandwidth(int64_t bytes);
  // Seconds of reading the next window with all threads.
  double time_window(int64_t window_bytes, ThreadPool& pool);

 private:
  std::shared_ptr<std::byte[]> data_;
  int64_t bytes_;
  int64_t position_ = 0;
};

// Bytes a second that all threads read together, in a fraction of a second; nothing where the
// `available_bytes` of memory would not hold the data that takes.
std::optional<double> measure_read_bandwidth(uint64_t available_bytes, ThreadPool& pool);

}  // namespace octavo
