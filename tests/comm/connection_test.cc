// Framed messages over TCP: pieces are put together, and what is no message closes the connection.
// SPDX-License-Identifier: Apache-2.0
#include "comm/connection.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <vector>

#include "comm/free_port.h"
#include "core/error.h"

namespace octavo {
namespace {

struct Ends {
  Ends() {
    const int port = free_port();
    const Socket listener = listen_at("127.0.0.1", port);
    raw = connect_to("127.0.0.1", port, 1000);
    while (!end.is_open()) end = Connection(accept_from(listener));
  }

  void say(std::string_view bytes) const {
    EXPECT_EQ(::send(raw.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL), std::ssize(bytes));
  }
  std::optional<Message> hear() {
    pollfd waits = {end.fd(), POLLIN, 0};
    poll(&waits, 1, 1000);
    end.receive();
    return end.next();
  }

  Socket raw;  // speaks bytes
  Connection end;
};

std::string framed(uint32_t kind, std::string_view bytes, uint64_t length) {
  std::string text = "OCT1";
  text.append(reinterpret_cast<const char*>(&kind), sizeof(kind));
  text.append(reinterpret_cast<const char*>(&length), sizeof(length));
  return text.append(bytes);
}
std::string framed(uint32_t kind, std::string_view bytes) {
  return framed(kind, bytes, bytes.size());
}

TEST(Connection, MessagesInPieces) {
  Ends ends;
  const std::string text = framed(5, "hello") + framed(6, "");
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    ends.say(text.substr(i, 1));
    const auto message = ends.hear();
    ASSERT_EQ(message.has_value(), i + 1 == framed(5, "hello").size()) << i;
    if (message) {
      EXPECT_EQ(message->kind, 5u);
      EXPECT_EQ(message->bytes, "hello");
    }
  }
  ends.say(text.substr(text.size() - 1));
  EXPECT_EQ(ends.hear()->kind, 6u);
  EXPECT_TRUE(ends.end.is_open());
}

TEST(Connection, TheFirstWrongByteCloses) {
  for (const char* text : {"GET / HTTP/1.1", "O!", "OCT2", "\x16\x03\x01"}) {
    Ends ends;
    ends.say(text);
    EXPECT_FALSE(ends.hear().has_value());
    EXPECT_FALSE(ends.end.is_open()) << text;
    EXPECT_EQ(ends.end.fault(), "it sent what is no message of a rank");
  }
}

TEST(Connection, LengthsAreLimited) {
  for (const uint64_t length : {(uint64_t{256} << 20) + 1, ~uint64_t{0}}) {
    Ends ends;
    ends.say(framed(1, "", length));
    EXPECT_FALSE(ends.hear().has_value());
    EXPECT_EQ(ends.end.fault(), "it sent a message that is too long");
  }
}

TEST(Connection, LastWordsAreHeard) {
  Ends ends;
  ends.say(framed(3, "farewell"));
  ends.raw = Socket();
  while (ends.end.is_open()) ends.end.receive();
  EXPECT_EQ(ends.end.fault(), "it ended");
  EXPECT_EQ(ends.end.next()->bytes, "farewell");
  EXPECT_FALSE(ends.end.next().has_value());
  ends.end.send(1, "nobody hears this");
}

TEST(Connection, NamesWithoutAddress) {
  try {
    connect_to("no-such-host.invalid", 1, 10);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kEnvironment);
    EXPECT_NE(std::string(error.what()).find("no-such-host.invalid"), std::string::npos);
  }
  EXPECT_FALSE(connect_to("127.0.0.1", free_port(), 100).is_open());
}

}  // namespace
}  // namespace octavo
