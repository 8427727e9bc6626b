// The thread that listens to the other ranks, and what it keeps.
// SPDX-License-Identifier: Apache-2.0
#include "comm/process_group.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>

#include "comm/meeting.h"
#include "comm/wire.h"

namespace octavo {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTick{100};
constexpr milliseconds kFarewell{500};      // for the last words to arrive
constexpr milliseconds kFinishLimit{5000};  // for all to have dealt with the last word
constexpr int64_t kMostUnsent = int64_t{512} << 20;

}  // namespace

struct ProcessGroup::State {
  // What is known of another rank, and at its own number of this one.
  struct Rank {
    Connection connection;
    Clock::time_point heard, moved;  // the latter: since when its progress is what it is
    RankProgress progress;
    std::deque<std::string> gifts;
    bool done = false;  // with rank 0's last word
    bool gone = true;   // nothing more comes

    void move_to(const RankProgress& now) {
      if (now.done != progress.done || !progress.waits()) moved = Clock::now();
      progress = now;
    }
  };

  State(const RankEnvironment& environment, const ProcessGroupOptions& limits)
      : own(environment.rank),
        options(limits),
        ranks(static_cast<size_t>(environment.size)),
        wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    std::vector<Connection> met = meet(environment, limits.connect_limit);
    for (size_t rank = leads() ? 1 : 0; rank < met.size(); ++rank) {
      ranks[rank].connection = std::move(met[rank]);
      ranks[rank].gone = false;
    }
    for (Rank& rank : ranks) rank.heard = rank.moved = Clock::now();
    thread = std::thread([this] { run(); });
  }

  bool leads() const { return own == 0; }
  void run();
  void wait();
  void hear(size_t rank, Message message);
  void hear_all();
  void beat();
  void check_silence();
  void check_progress();
  std::string slowest() const;
  void fail(std::string why);
  void send_all(uint32_t kind, std::string_view bytes);
  void stir() const { eventfd_write(wake.fd(), 1); }
  void throw_failure() const {
    if (!failure.empty()) throw Error(ErrorCategory::kDevice, failure);
  }
  bool has_unsent() const {
    return std::ranges::any_of(ranks, [](const Rank& r) { return r.connection.has_unsent(); });
  }

  int64_t own;
  ProcessGroupOptions options;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<Rank> ranks;
  Socket wake;
  std::deque<std::string> words, answers;
  std::string failure;
  std::mutex watch_mutex;  // held while the watch is asked, and never within `mutex`
  std::shared_ptr<RankWatch> watch;
  bool finished = false;  // rank 0 has nothing more to say
  bool closing = false;
  Clock::time_point closes;
  std::thread thread;
};

// Of this rank or told by another one: everybody learns of it through rank 0.
void ProcessGroup::State::fail(std::string why) {
  if (!failure.empty()) return;
  failure = std::move(why);
  send_all(kFailed, failure);
  changed.notify_all();
}

void ProcessGroup::State::send_all(uint32_t kind, std::string_view bytes) {
  for (Rank& rank : ranks) rank.connection.send(kind, bytes);
}

void ProcessGroup::State::wait() {
  std::vector<pollfd> waits = {{wake.fd(), POLLIN, 0}};
  {
    const std::lock_guard lock(mutex);
    for (const Rank& rank : ranks) {
      const short events = rank.connection.has_unsent() ? POLLIN | POLLOUT : POLLIN;
      if (rank.connection.is_open()) waits.push_back({rank.connection.fd(), events, 0});
    }
  }
  poll(waits.data(), waits.size(), static_cast<int>(kTick.count()));
  eventfd_t ignored = 0;
  eventfd_read(wake.fd(), &ignored);
}

void ProcessGroup::State::hear(size_t rank, Message message) {
  Rank& from = ranks[rank];
  switch (message.kind) {
    case kFailed:
      return fail(printable(message.bytes, 2000));
    case kGive:
      from.gifts.push_back(std::move(message.bytes));
      break;
    case kAnswer:
      answers.push_back(std::move(message.bytes));
      break;
    case kWord:
      words.push_back(std::move(message.bytes));
      break;
    case kFinished:
      finished = true;
      break;
    case kDone:
      from.done = true;
      break;
    case kBeat: {
      WireReader beat(message.bytes);
      return from.move_to({.asked = beat.number<uint64_t>(),
                           .done = beat.number<uint64_t>(),
                           .group = beat.number<int64_t>()});
    }
    default:
      return fail(fmt::format("rank {} sent a message of no known kind", rank));
  }
  changed.notify_all();
}

// Messages may have come with the end of a connection, and with the welcome before this thread was.
void ProcessGroup::State::hear_all() {
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].gone) continue;
    Connection& connection = ranks[rank].connection;
    connection.flush();
    connection.receive();
    try {
      while (std::optional<Message> message = connection.next()) {
        ranks[rank].heard = Clock::now();
        hear(rank, std::move(*message));
      }
    } catch (const Error& error) {
      connection.close(error.what());
    }
    if (connection.is_open()) continue;
    const bool expected = finished || closing || ranks[rank].done;
    ranks[rank].gone = ranks[rank].done = true;
    if (!expected)
      fail(fmt::format("rank {}: {} before the work was done", rank, connection.fault()));
    changed.notify_all();
  }
}

// Everybody tells rank 0 how far it is; rank 0 tells everybody that it is there.
void ProcessGroup::State::beat() {
  RankProgress progress;
  std::string found;
  {
    const std::lock_guard lock(watch_mutex);
    if (watch != nullptr) progress = watch->progress();
    if (watch != nullptr) found = watch->failure();
  }
  WireWriter bytes;
  bytes.put(progress.asked);
  bytes.put(progress.done);
  bytes.put(progress.group);
  const std::string message = bytes.take();
  const std::lock_guard lock(mutex);
  if (!found.empty()) fail(fmt::format("rank {}: {}", own, found));
  Rank& self = ranks[static_cast<size_t>(own)];
  self.move_to(progress);
  if (failure.empty()) send_all(kBeat, message);
}

void ProcessGroup::State::check_silence() {
  const Clock::time_point now = Clock::now();
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const Connection& connection = ranks[rank].connection;
    if (!connection.is_open()) continue;
    if (now - ranks[rank].heard > options.stall_limit || connection.unsent_bytes() > kMostUnsent) {
      fail(fmt::format("rank {} stalled: nothing was heard of it for {} ms", rank,
                       options.stall_limit.count()));
    }
  }
}

// Of ranks that make the same calls, the one that asked its device for fewer than others, or whose
// device did fewer.
std::string ProcessGroup::State::slowest() const {
  for (const auto member : {&RankProgress::asked, &RankProgress::done}) {
    for (const Rank& a : ranks) {
      const auto behind = [&](const Rank& b) {
        return b.progress.group == a.progress.group && b.progress.*member > a.progress.*member;
      };
      const auto ahead = [&](const Rank& b) {
        return b.progress.group == a.progress.group && b.progress.*member < a.progress.*member;
      };
      if (std::ranges::any_of(ranks, behind) && std::ranges::none_of(ranks, ahead))
        return fmt::format("rank {} stalled: ", &a - ranks.data());
    }
  }
  return "";
}

// Only rank 0 knows of all. A rank that waits and gets on is what others may wait for.
void ProcessGroup::State::check_progress() {
  if (!leads()) return;
  bool some_wait = false;
  for (const Rank& rank : ranks) {
    if (!rank.progress.waits()) continue;
    if (Clock::now() - rank.moved <= options.stall_limit) return;
    some_wait = true;
  }
  if (!some_wait) return;
  fail(slowest() + fmt::format("no rank got on for {} ms", options.stall_limit.count()));
}

void ProcessGroup::State::run() {
  Clock::time_point next_beat = Clock::now();
  while (true) {
    wait();
    if (Clock::now() >= next_beat) {
      beat();
      next_beat = Clock::now() + kTick;
    }
    bool ends_watch = false;
    {
      const std::lock_guard lock(mutex);
      hear_all();
      if (failure.empty() && !closing && !finished) check_silence();
      if (failure.empty() && !closing) check_progress();
      ends_watch = !failure.empty();
      const bool gone =
          std::ranges::none_of(ranks, [](const Rank& rank) { return rank.connection.is_open(); });
      if (closing && (gone || Clock::now() >= closes)) return;
    }
    const std::lock_guard lock(watch_mutex);
    if (ends_watch && watch != nullptr) watch->end();
  }
}

ProcessGroup::ProcessGroup(const RankEnvironment& environment, const ProcessGroupOptions& options)
    : state_(std::make_unique<State>(environment, options)) {}

// Both ends stop sending and read until the other has: what was said last is not lost.
ProcessGroup::~ProcessGroup() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closing = true;
    state_->closes = Clock::now() + kFarewell;
    for (State::Rank& rank : state_->ranks) {
      rank.connection.flush();
      rank.connection.finish_sending();
    }
  }
  state_->stir();
  state_->thread.join();
}

int64_t ProcessGroup::rank() const { return state_->own; }
int64_t ProcessGroup::size() const { return std::ssize(state_->ranks); }

std::string ProcessGroup::exchange(std::string_view own, const Answer& answer) {
  std::unique_lock lock(state_->mutex);
  const auto wait_for = [&](const auto& ready) {
    state_->changed.wait(lock, [&] { return !state_->failure.empty() || ready(); });
    state_->throw_failure();
  };
  if (!state_->leads()) {
    state_->send_all(kGive, own);
    wait_for([&] { return !state_->answers.empty(); });
    std::string found = std::move(state_->answers.front());
    state_->answers.pop_front();
    return found;
  }
  state_->ranks.front().gifts.emplace_back(own);
  wait_for([&] {
    return std::ranges::none_of(state_->ranks, [](const auto& rank) { return rank.gifts.empty(); });
  });
  std::vector<std::string> gifts;
  for (State::Rank& rank : state_->ranks) {
    gifts.push_back(std::move(rank.gifts.front()));
    rank.gifts.pop_front();
  }
  try {
    std::string found = answer(gifts);
    state_->send_all(kAnswer, found);
    return found;
  } catch (const std::exception& error) {
    state_->fail(error.what());
    throw;
  }
}

void ProcessGroup::agree(std::string_view what, std::string_view own) {
  exchange(own, [what](const std::vector<std::string>& all) {
    for (size_t rank = 1; rank < all.size(); ++rank) {
      if (all[rank] == all.front()) continue;
      throw Error(ErrorCategory::kUnsupported,
                  fmt::format("{}: rank 0 has {}, rank {} has {}", what, printable(all.front()),
                              rank, printable(all[rank])));
    }
    return std::string();
  });
}

void ProcessGroup::publish(std::string_view bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->throw_failure();
  state_->send_all(kWord, bytes);
  if (state_->has_unsent()) state_->stir();
}

std::optional<std::string> ProcessGroup::next() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(
      lock, [&] { return !state_->failure.empty() || !state_->words.empty() || state_->finished; });
  state_->throw_failure();
  if (state_->words.empty()) return std::nullopt;
  std::string word = std::move(state_->words.front());
  state_->words.pop_front();
  return word;
}

void ProcessGroup::finish() noexcept {
  std::unique_lock lock(state_->mutex);
  if (!state_->failure.empty()) return;
  state_->finished = true;
  if (!state_->leads()) return state_->send_all(kDone, "");
  state_->send_all(kFinished, "");
  const auto others = std::span(state_->ranks).subspan(1);
  state_->changed.wait_for(lock, kFinishLimit, [&] {
    return !state_->failure.empty() ||
           std::ranges::all_of(others, [](const State::Rank& rank) { return rank.done; });
  });
}

void ProcessGroup::set_watch(std::shared_ptr<RankWatch> watch) {
  const std::lock_guard lock(state_->watch_mutex);
  state_->watch = std::move(watch);
}

void ProcessGroup::fail(std::string_view why) noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->fail(fmt::format("rank {}: {}", state_->own, why));
  state_->stir();
}

std::string ProcessGroup::failure() const {
  const std::lock_guard lock(state_->mutex);
  return state_->failure;
}

void ProcessGroup::check() const {
  const std::lock_guard lock(state_->mutex);
  state_->throw_failure();
}

}  // namespace octavo
