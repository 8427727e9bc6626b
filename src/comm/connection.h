// Connection: framed messages over TCP between two processes; no call waits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octavo {

// A file descriptor that is closed.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

// Listens where `host` is this machine's, else on all of its addresses. Throws Error(kEnvironment)
// naming host and port.
Socket listen_at(const std::string& host, int port);
// A connection that waits to be taken; closed where there is none.
Socket accept_from(const Socket& listener);
// Closed where nobody listens there yet. Throws Error(kEnvironment) where the host has no address.
Socket connect_to(const std::string& host, int port, int64_t patience_ms);

struct Message {
  uint32_t kind = 0;
  std::string bytes;
};

class Connection {
 public:
  Connection() = default;
  explicit Connection(Socket socket);

  int fd() const { return socket_.fd(); }
  bool is_open() const { return socket_.is_open(); }
  // Why it was closed: the other end went, or sent what is no message. Empty while it is open.
  const std::string& fault() const { return fault_; }

  void send(uint32_t kind, std::string_view bytes);
  bool has_unsent() const { return !out_.empty(); }
  int64_t unsent_bytes() const { return static_cast<int64_t>(out_.size()); }
  void flush();
  // Takes what has arrived.
  void receive();
  std::optional<Message> next();
  // Says that nothing more comes; the other end may go on sending.
  void finish_sending();
  void close(std::string_view why);

 private:
  Socket socket_;
  std::string in_, out_, fault_;
};

}  // namespace octavo
