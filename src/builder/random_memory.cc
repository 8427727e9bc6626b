// A pattern of a few megabytes, again and again.
// SPDX-License-Identifier: Apache-2.0
#include "builder/random_memory.h"

#include "core/checked.h"

namespace octavo {
namespace {

constexpr int64_t kPatternBytes = int64_t{4} << 20;

// As bfloat16 the exponents of 0x30xx to 0x3Fxx lie below 2.
void fill_pattern(std::byte* data, int64_t bytes) {
  uint64_t state = 0x9E3779B97F4A7C15u;
  for (int64_t i = 0; i < bytes; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto random = static_cast<uint8_t>(state >> 56);
    data[i] = static_cast<std::byte>((random & 0x80u) | 0x30u | (random & 0x0Fu));
  }
}

}  // namespace

std::shared_ptr<std::byte[]> random_memory(Device& device, int64_t bytes) {
  const int64_t whole = round_up(bytes, kPatternBytes);
  const std::shared_ptr<std::byte[]> memory = device.allocate(whole);
  const std::shared_ptr<std::byte[]> pattern = device.allocate_staging(kPatternBytes);
  fill_pattern(pattern.get(), kPatternBytes);
  for (int64_t at = 0; at < whole; at += kPatternBytes)
    device.upload(memory.get() + at, pattern.get(), kPatternBytes);
  device.synchronize();
  return memory;
}

}  // namespace octavo
