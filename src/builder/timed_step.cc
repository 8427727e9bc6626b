// The operands of a made-up decode step.
// SPDX-License-Identifier: Apache-2.0
#include "builder/timed_step.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"

namespace octavo {
namespace {

constexpr int64_t kMostKeys = 2048;                      // of a sequence
constexpr int64_t kMostCacheBytes = int64_t{512} << 20;  // of k or v; what more there is to read
                                                         // takes its time, whoever reads it
// Operands of rope_attention.
enum Input : size_t {
  kPositions = 3,
  kSlots = 5,
  kQueryStart,
  kQueryLength,
  kKvLength,
  kBlockTable,
};
constexpr size_t kKeyCache = 0, kValueCache = 1;

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace

TimedStep::TimedStep(const Problem& problem) : problem_(problem) {
  const Problem::Operand& cache = problem.outputs[kKeyCache];
  const Shape& table = problem.inputs[kBlockTable].shape;
  sequences_ = table[0];
  block_tokens_ = cache.shape[2];
  const int64_t block_bytes =
      cache.shape[1] * block_tokens_ * cache.shape[3] * size_of(cache.dtype);
  const int64_t affordable =
      kMostCacheBytes / std::max<int64_t>(block_bytes * std::max<int64_t>(sequences_, 1), 1);
  pages_ =
      std::clamp<int64_t>(std::min(affordable, ceil_div(kMostKeys, block_tokens_)), 1, table[1]);
  length_ = pages_ * block_tokens_;
  for (const size_t index : {kKeyCache, kValueCache})
    problem_.outputs[index].shape[0] = std::max<int64_t>(sequences_ * pages_, 1);
}

std::vector<std::byte> TimedStep::contents(size_t index) const {
  if (!problem_.inputs[index].present) return {};
  const int64_t rows = problem_.inputs[index].shape[0];
  std::vector<int32_t> values(static_cast<size_t>(rows), static_cast<int32_t>(length_));
  std::vector<int64_t> slots(static_cast<size_t>(rows), -1);
  const int64_t width = problem_.inputs[kBlockTable].shape[1];
  switch (index) {
    case kSlots:
      for (int64_t i = 0; i < std::min(rows, sequences_); ++i)
        slots[static_cast<size_t>(i)] = (block_of(i, pages_ - 1) + 1) * block_tokens_ - 1;
      return bytes_of(slots);
    case kPositions:
      for (int32_t& position : values) --position;
      break;
    case kQueryStart:
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i);
      break;
    case kQueryLength:
      std::ranges::fill(values, 1);
      break;
    case kKvLength:
      break;
    case kBlockTable:
      values.assign(static_cast<size_t>(rows * width), 0);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t page = 0; page < pages_; ++page)
          values[static_cast<size_t>(i * width + page)] = static_cast<int32_t>(block_of(i, page));
      }
      break;
    default:
      return {};
  }
  return bytes_of(values);
}

}  // namespace octavo
