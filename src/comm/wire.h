// Numbers and lists as bytes of a message, and back with every length checked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace octavo {

static_assert(std::endian::native == std::endian::little, "messages hold little-endian numbers");

class WireWriter {
 public:
  template <std::integral T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  template <std::integral T>
  void put(const std::vector<T>& values) {
    put(static_cast<uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  void put(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_.append(text);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Throws Error(kDevice) where a message ends too soon.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : left_(bytes) {}

  template <std::integral T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <std::integral T>
  std::vector<T> list() {
    const auto count = number<uint64_t>();
    if (count > left_.size() / sizeof(T)) too_short();
    const std::string_view bytes = take(count * sizeof(T));
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  std::string text() {
    const auto size = number<uint64_t>();
    if (size > left_.size()) too_short();
    return std::string(take(size));
  }
  bool at_end() const { return left_.empty(); }

 private:
  [[noreturn]] static void too_short() {
    throw Error(ErrorCategory::kDevice, "a message between ranks ends too soon");
  }
  std::string_view take(size_t size) {
    if (size > left_.size()) too_short();
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }

  std::string_view left_;
};

}  // namespace octavo
