// Rank 0 listens; the others come.
// SPDX-License-Identifier: Apache-2.0
#include "comm/meeting.h"

#include <poll.h>

#include <algorithm>
#include <list>
#include <thread>

#include "comm/wire.h"

namespace octavo {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr uint32_t kProtocol = 1;
constexpr milliseconds kHelloLimit{5000};  // for whoever has connected to say who it is
constexpr milliseconds kTick{50};
constexpr size_t kMostStrangers = 64;

int64_t ms_until(Clock::time_point deadline) {
  return std::max<int64_t>(
      0, std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count());
}

std::string hello_of(const RankEnvironment& environment) {
  WireWriter hello;
  hello.put(kProtocol);
  hello.put(environment.rank);
  hello.put(environment.size);
  return hello.take();
}

// Rank 0 while the others come.
class Reception {
 public:
  Reception(const RankEnvironment& environment, milliseconds limit)
      : environment_(environment),
        limit_(limit),
        deadline_(Clock::now() + limit),
        listener_(listen_at(environment.host, environment.port)),
        come_(static_cast<size_t>(environment.size)) {}

  std::vector<Connection> run() {
    try {
      while (!missing().empty()) step();
    } catch (const Error& error) {
      for (Connection& rank : come_) rank.send(kFailed, error.what());
      for (Connection& rank : come_) rank.finish_sending();
      throw;
    }
    for (Connection& rank : come_) rank.send(kWelcome, "");
    return std::move(come_);
  }

 private:
  struct Stranger {
    Connection connection;
    Clock::time_point deadline;
  };

  std::vector<size_t> missing() const {
    std::vector<size_t> ranks;
    for (size_t rank = 1; rank < come_.size(); ++rank) {
      if (!come_[rank].is_open()) ranks.push_back(rank);
    }
    return ranks;
  }

  void step() {
    if (Clock::now() >= deadline_) {
      const std::vector<size_t> ranks = missing();
      throw Error(ErrorCategory::kDevice,
                  fmt::format("rank{} {} did not come within {} ms to {}:{}",
                              ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "), limit_.count(),
                              environment_.host, environment_.port));
    }
    wait();
    while (true) {
      Socket socket = accept_from(listener_);
      if (!socket.is_open()) break;
      strangers_.push_back({Connection(std::move(socket)), Clock::now() + kHelloLimit});
      if (strangers_.size() > kMostStrangers) strangers_.pop_front();
    }
    for (auto stranger = strangers_.begin(); stranger != strangers_.end();)
      stranger = hear(*stranger) ? strangers_.erase(stranger) : std::next(stranger);
    check_come();
  }

  void wait() const {
    std::vector<pollfd> waits = {{listener_.fd(), POLLIN, 0}};
    for (const Stranger& stranger : strangers_)
      waits.push_back({stranger.connection.fd(), POLLIN, 0});
    for (const Connection& rank : come_) {
      if (rank.is_open()) waits.push_back({rank.fd(), POLLIN, 0});
    }
    poll(waits.data(), waits.size(),
         static_cast<int>(std::min(kTick.count(), ms_until(deadline_))));
  }

  // Whether it is a stranger no more: it is a rank, or was sent away.
  bool hear(Stranger& stranger) {
    stranger.connection.receive();
    const std::optional<Message> message = stranger.connection.next();
    if (!message) return !stranger.connection.is_open() || Clock::now() >= stranger.deadline;
    if (message->kind == kHello) welcome(std::move(stranger.connection), message->bytes);
    return true;
  }

  void welcome(Connection connection, const std::string& bytes) {
    constexpr size_t kHelloBytes = sizeof(uint32_t) + 2 * sizeof(int64_t);
    if (bytes.size() != kHelloBytes) return;
    WireReader hello(bytes);
    const auto protocol = hello.number<uint32_t>();
    const auto rank = hello.number<int64_t>(), size = hello.number<int64_t>();
    std::string refusal;
    if (protocol != kProtocol)
      refusal = fmt::format("speaks version {} of the protocol, rank 0 {}", protocol, kProtocol);
    else if (size != environment_.size)
      refusal = fmt::format("counts {} ranks, rank 0 {}", size, environment_.size);
    else if (rank < 1 || rank >= size)
      refusal = fmt::format("is none of the {} ranks", size);
    else if (come_[static_cast<size_t>(rank)].is_open())
      refusal = "came twice: two processes have the same number";
    if (refusal.empty()) {
      come_[static_cast<size_t>(rank)] = std::move(connection);
      return;
    }
    const Error error(ErrorCategory::kDevice, fmt::format("rank {} {}", rank, refusal));
    connection.send(kFailed, error.what());
    connection.finish_sending();
    throw error;
  }

  void check_come() {
    for (size_t rank = 1; rank < come_.size(); ++rank) {
      if (!come_[rank].is_open()) continue;
      come_[rank].receive();
      if (!come_[rank].is_open())
        throw Error(ErrorCategory::kDevice, fmt::format("rank {} ended before all had come", rank));
    }
  }

  const RankEnvironment& environment_;
  milliseconds limit_;
  Clock::time_point deadline_;
  Socket listener_;
  std::list<Stranger> strangers_;
  std::vector<Connection> come_;  // by rank
};

Connection find_rank_0(const RankEnvironment& environment, milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  while (true) {
    Socket socket =
        connect_to(environment.host, environment.port, std::max<int64_t>(1, ms_until(deadline)));
    if (socket.is_open()) return Connection(std::move(socket));
    if (Clock::now() >= deadline) {
      throw Error(ErrorCategory::kDevice,
                  fmt::format("rank 0 did not come within {} ms to {}:{}", limit.count(),
                              environment.host, environment.port));
    }
    std::this_thread::sleep_for(kTick);
  }
}

// Rank 0 may have started to count its limit a whole limit later; it says what became of it.
Connection come_to_rank_0(const RankEnvironment& environment, milliseconds limit) {
  Connection rank_0 = find_rank_0(environment, limit);
  rank_0.send(kHello, hello_of(environment));
  const Clock::time_point deadline = Clock::now() + limit + kHelloLimit;
  const std::string where = fmt::format("rank 0 at {}:{}", environment.host, environment.port);
  while (Clock::now() < deadline) {
    pollfd waits = {rank_0.fd(), POLLIN, 0};
    poll(&waits, 1, static_cast<int>(kTick.count()));
    rank_0.receive();
    const std::optional<Message> message = rank_0.next();
    if (message && message->kind == kWelcome) return rank_0;
    if (message && message->kind == kFailed)
      throw Error(ErrorCategory::kDevice, printable(message->bytes, 2000));
    if (message) rank_0.close("it sent what is no welcome");
    if (!rank_0.is_open())
      throw Error(ErrorCategory::kDevice,
                  fmt::format("{}: {}; MASTER_ADDR and MASTER_PORT say where it is", where,
                              rank_0.fault()));
  }
  throw Error(ErrorCategory::kDevice,
              fmt::format("{} said nothing for {} ms", where, (limit + kHelloLimit).count()));
}

}  // namespace

std::vector<Connection> meet(const RankEnvironment& environment, milliseconds limit) {
  if (environment.rank == 0) return Reception(environment, limit).run();
  std::vector<Connection> rank_0;
  rank_0.push_back(come_to_rank_0(environment, limit));
  return rank_0;
}

}  // namespace octavo
