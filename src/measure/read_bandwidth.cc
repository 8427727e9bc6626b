// A streaming read whose sum keeps the compiler from dropping it.
// SPDX-License-Identifier: Apache-2.0
#include "measure/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/tensor.h"

namespace octavo {
namespace {

constexpr int64_t kPieceBytes = 256 << 10;

// A gigabyte is more than caches hold. Of several windows the median stands: a busy neighbour
// slows some, and none is faster than the memory.
constexpr int64_t kMeasuredBytes = int64_t{1} << 30;
constexpr int64_t kMeasuredWindows = 8;
constexpr int64_t kPasses = 2;

uint64_t sum_words(const uint64_t* words, int64_t count) {
  uint64_t sums[16] = {};
  for (int64_t i = 0; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

ReadBandwidth::ReadBandwidth(int64_t bytes) : data_(allocate_host(bytes)), bytes_(bytes) {
  std::memset(data_.get(), 1, bytes);
}

double ReadBandwidth::time_window(int64_t window_bytes, ThreadPool& pool) {
  if (position_ + window_bytes > bytes_) position_ = 0;
  const std::byte* window = data_.get() + position_;
  position_ += window_bytes;
  std::atomic<uint64_t> sink{0};
  const auto begin = std::chrono::steady_clock::now();
  pool.parallel_for(window_bytes, kPieceBytes, [&](int64_t first, int64_t end) {
    sink += sum_words(reinterpret_cast<const uint64_t*>(window + first),
                      (end - first) / static_cast<int64_t>(sizeof(uint64_t)));
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return seconds.count();
}

std::optional<double> measure_read_bandwidth(uint64_t available_bytes, ThreadPool& pool) {
  if (available_bytes / 2 < static_cast<uint64_t>(kMeasuredBytes)) return std::nullopt;
  ReadBandwidth memory(kMeasuredBytes);
  constexpr int64_t kWindowBytes = kMeasuredBytes / kMeasuredWindows;
  std::vector<double> seconds;
  for (int64_t i = 0; i < kMeasuredWindows * kPasses; ++i) {
    seconds.push_back(memory.time_window(kWindowBytes, pool));
  }
  const auto middle = seconds.begin() + std::ssize(seconds) / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return static_cast<double>(kWindowBytes) / *middle;
}

}  // namespace octavo
