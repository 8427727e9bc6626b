// A streaming read whose sum keeps the compiler from dropping it.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/read_bandwidth.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "core/tensor.h"

namespace octavo {
namespace {

constexpr int64_t kPieceBytes = 256 << 10;

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

}  // namespace octavo
