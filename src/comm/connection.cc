// Sockets that do not block.
// SPDX-License-Identifier: Apache-2.0
#include "comm/connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/error.h"

namespace octavo {
namespace {

// Stands at the head of every message: who does not speak this protocol is noticed at once.
constexpr uint32_t kMagic = 0x3154434F;                    // "OCT1"
constexpr uint64_t kLongestMessage = uint64_t{256} << 20;  // a step of many long sequences

struct Header {
  uint32_t magic = kMagic;
  uint32_t kind = 0;
  uint64_t bytes = 0;
};

struct AddressCloser {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressCloser>;

Addresses resolve(const std::string& host, int port, bool to_listen) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  if (to_listen) hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 std::to_string(port).c_str(), &hints, &found);
  if (status != 0) {
    throw Error(ErrorCategory::kEnvironment, fmt::format("MASTER_ADDR: {} has no address: {}",
                                                         printable(host), gai_strerror(status)));
  }
  return Addresses(found);
}

Socket open_socket(const addrinfo& address) {
  return Socket(socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol));
}

// Nagle's algorithm would hold small messages back.
void make_prompt(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// TCP lets a socket find itself where nobody listens at a port that it was given for its own end.
bool found_itself(int fd) {
  sockaddr_storage own = {}, other = {};
  socklen_t own_size = sizeof(own), other_size = sizeof(other);
  return getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&other), &other_size) == 0 &&
         own_size == other_size && std::memcmp(&own, &other, own_size) == 0;
}

// 0 where it connected to somebody else in time.
int await_connection(int fd, int64_t patience_ms) {
  pollfd waits = {fd, POLLOUT, 0};
  if (poll(&waits, 1, static_cast<int>(patience_ms)) != 1) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 && found_itself(fd) ? ECONNREFUSED : error;
}

// 0, or why nobody listens there.
int try_listen(const Addresses& addresses, Socket& listener) {
  int error = 0;
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    Socket candidate = open_socket(*a);
    const int on = 1;
    if (candidate.is_open()) setsockopt(candidate.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (candidate.is_open() && bind(candidate.fd(), a->ai_addr, a->ai_addrlen) == 0 &&
        listen(candidate.fd(), SOMAXCONN) == 0) {
      make_prompt(candidate.fd());
      listener = std::move(candidate);
      return 0;
    }
    error = errno;
  }
  return error;
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) ::close(fd_);
  fd_ = other.release();
  return *this;
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

Socket listen_at(const std::string& host, int port) {
  Socket listener;
  int error = try_listen(resolve(host, port, /*to_listen=*/true), listener);
  if (error == EADDRNOTAVAIL) error = try_listen(resolve("", port, /*to_listen=*/true), listener);
  if (error == 0) return listener;
  throw Error(ErrorCategory::kEnvironment,
              fmt::format("rank 0 cannot listen at {}:{}: {}; MASTER_PORT names another port",
                          printable(host), port, std::strerror(error)));
}

Socket accept_from(const Socket& listener) {
  Socket accepted(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (accepted.is_open()) make_prompt(accepted.fd());
  return accepted;
}

Socket connect_to(const std::string& host, int port, int64_t patience_ms) {
  const Addresses addresses = resolve(host, port, /*to_listen=*/false);
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    Socket candidate = open_socket(*a);
    if (!candidate.is_open()) continue;
    make_prompt(candidate.fd());
    const int status = connect(candidate.fd(), a->ai_addr, a->ai_addrlen);
    if (status != 0 && errno != EINPROGRESS) continue;
    if (await_connection(candidate.fd(), patience_ms) == 0) return candidate;
  }
  return Socket();
}

Connection::Connection(Socket socket) : socket_(std::move(socket)) {}

void Connection::close(std::string_view why) {
  if (!is_open()) return;
  fault_ = why;
  socket_ = Socket();
  out_.clear();
}

void Connection::send(uint32_t kind, std::string_view bytes) {
  if (!is_open()) return;
  const Header header{.kind = kind, .bytes = bytes.size()};
  out_.append(reinterpret_cast<const char*>(&header), sizeof(header));
  out_.append(bytes);
  flush();
}

void Connection::flush() {
  while (is_open() && !out_.empty()) {
    const ssize_t sent = ::send(fd(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      out_.erase(0, static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      // What the other end said last may still be there to be read: receive() notices that it went.
      out_.clear();
    }
  }
}

void Connection::receive() {
  char buffer[1 << 16];
  while (is_open()) {
    const ssize_t got = recv(fd(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got > 0) {
      in_.append(buffer, static_cast<size_t>(got));
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return;
    } else {
      return close("it ended");
    }
  }
}

std::optional<Message> Connection::next() {
  Header header;
  const size_t have = std::min(in_.size(), sizeof(header.magic));
  if (std::memcmp(in_.data(), &header.magic, have) != 0) {
    in_.clear();
    close("it sent what is no message of a rank");
    return std::nullopt;
  }
  if (in_.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, in_.data(), sizeof(header));
  if (header.bytes > kLongestMessage) {
    in_.clear();
    close("it sent a message that is too long");
    return std::nullopt;
  }
  if (in_.size() - sizeof(header) < header.bytes) return std::nullopt;
  Message message{.kind = header.kind, .bytes = in_.substr(sizeof(header), header.bytes)};
  in_.erase(0, sizeof(header) + header.bytes);
  return message;
}

void Connection::finish_sending() {
  if (is_open()) shutdown(fd(), SHUT_WR);
}

}  // namespace octavo
