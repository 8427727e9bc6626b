// Messages: what was written is read, and what is cut short is noticed.
// SPDX-License-Identifier: Apache-2.0
#include "comm/wire.h"

#include <gtest/gtest.h>

#include <limits>

namespace octavo {
namespace {

std::string message() {
  WireWriter writer;
  writer.put(int64_t{-3});
  writer.put(std::vector<int32_t>{1, -2, 3});
  writer.put(std::string_view("text"));
  writer.put(uint8_t{7});
  return writer.take();
}

void read(std::string_view bytes) {
  WireReader reader(bytes);
  EXPECT_EQ(reader.number<int64_t>(), -3);
  EXPECT_EQ(reader.list<int32_t>(), (std::vector<int32_t>{1, -2, 3}));
  EXPECT_EQ(reader.text(), "text");
  EXPECT_EQ(reader.number<uint8_t>(), 7);
  EXPECT_TRUE(reader.at_end());
}

TEST(Wire, RoundTrip) { read(message()); }

TEST(Wire, EveryCutIsNoticed) {
  const std::string whole = message();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(read(std::string_view(whole).substr(0, size)), Error) << size;
}

TEST(Wire, CountsBeyondTheMessage) {
  WireWriter writer;
  writer.put(std::numeric_limits<uint64_t>::max());
  const std::string bytes = writer.take();
  EXPECT_THROW(WireReader(bytes).list<int64_t>(), Error);
  EXPECT_THROW(WireReader(bytes).text(), Error);
}

}  // namespace
}  // namespace octavo
