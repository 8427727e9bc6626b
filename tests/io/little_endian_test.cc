// Little-endian integers of any width.
// SPDX-License-Identifier: Apache-2.0
#include "io/little_endian.h"

#include <gtest/gtest.h>

#include <array>

namespace octavo {
namespace {

TEST(LittleEndian, StoresAndLoads) {
  std::array<std::byte, 8> bytes;
  store_little_endian(0x0123456789abcdef, bytes);
  EXPECT_EQ(bytes[0], std::byte{0xef});
  EXPECT_EQ(bytes[7], std::byte{0x01});
  EXPECT_EQ(load_little_endian(bytes), 0x0123456789abcdefu);
  EXPECT_EQ(load_little_endian(std::span(bytes).first(4)), 0x89abcdefu);
  store_little_endian(UINT64_MAX, bytes);
  EXPECT_EQ(load_little_endian(bytes), UINT64_MAX);
}

}  // namespace
}  // namespace octavo
