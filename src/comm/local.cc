// Collective calls over shared memory: barriers, and every rank does its part for all.
// SPDX-License-Identifier: Apache-2.0
#include "comm/local.h"

#include <fmt/format.h>

#include "comm/sum.h"
#include "core/checked.h"

namespace octavo {

using Axis = Communicator::Axis;

// What a rank has laid out for the others.
struct LocalGroup::Slot {
  TensorView x, y;
};

// The ranks of one stage meet at one barrier; each may have a matrix on its way to the next stage.
struct LocalGroup::Stage {
  explicit Stage(int64_t size)
      : slots(static_cast<size_t>(size)), outgoing(static_cast<size_t>(size)) {}

  std::vector<Slot> slots;
  std::vector<const TensorView*> outgoing;  // null: none, or it was taken
  size_t arrived = 0;
  uint64_t generation = 0;
};

class LocalGroup::Member final : public Communicator {
 public:
  Member(LocalGroup& group, const RankPlace& place) : group_(group), place_(place) {}

  const RankPlace& place() const override { return place_; }
  void all_reduce(const TensorView& x, const TensorView& y) override;
  void reduce_scatter(const TensorView& x, const TensorView& y, Axis axis) override;
  void all_gather(const TensorView& x, const TensorView& y, Axis axis) override;
  void send(const TensorView& x) override;
  void recv(const TensorView& y) override;

  // The call that this rank waits in; empty while it computes.
  std::string_view waits_in() const { return waits_in_; }

 private:
  friend class LocalGroup;

  Stage& stage() { return *group_.stages_[static_cast<size_t>(place_.stage())]; }
  size_t index() const { return static_cast<size_t>(place_.index()); }
  void wait(std::string_view call, std::unique_lock<std::mutex>& lock,
            const std::function<bool()>& done);
  void barrier(std::string_view call);
  // Shows x and y to the ranks of the stage, runs `work` when all have done so, and returns when
  // all have finished theirs.
  template <typename Work>
  void meet(std::string_view call, const TensorView& x, const TensorView& y, const Work& work);
  void refuse_mismatch(std::string_view call);
  std::vector<TensorView> shown_x();

  LocalGroup& group_;
  RankPlace place_;
  std::string_view waits_in_;
  bool busy_ = true;
};

void LocalGroup::Member::wait(std::string_view call, std::unique_lock<std::mutex>& lock,
                              const std::function<bool()>& done) {
  waits_in_ = call;
  group_.wait(lock, done);
  waits_in_ = {};
}

void LocalGroup::Member::barrier(std::string_view call) {
  std::unique_lock lock(group_.mutex_);
  Stage& here = stage();
  const uint64_t generation = here.generation;
  if (++here.arrived == here.slots.size()) {
    here.arrived = 0;
    ++here.generation;
    group_.changed_.notify_all();
  }
  wait(call, lock, [&] { return here.generation != generation; });
  ++group_.calls_;
}

template <typename Work>
void LocalGroup::Member::meet(std::string_view call, const TensorView& x, const TensorView& y,
                              const Work& work) {
  stage().slots[index()] = {x, y};
  barrier(call);
  refuse_mismatch(call);
  work();
  barrier(call);
}

// All ranks refuse alike: none may touch a matrix whose owner has left.
void LocalGroup::Member::refuse_mismatch(std::string_view call) {
  const std::vector<Slot>& slots = stage().slots;
  const Slot& first = slots.front();
  for (size_t i = 1; i < slots.size(); ++i) {
    const TensorView& x = slots[i].x;
    if (first.x.shape == x.shape && first.x.dtype == x.dtype && first.y.shape == slots[i].y.shape)
      continue;
    throw Error(ErrorCategory::kInternal,
                fmt::format("[{}] rank {}: x is {}, that of the first rank of its stage is {}",
                            call, place_.rank - place_.index() + static_cast<int64_t>(i),
                            to_string(x.shape), to_string(first.x.shape)));
  }
}

std::vector<TensorView> LocalGroup::Member::shown_x() {
  std::vector<TensorView> views;
  for (const Slot& slot : stage().slots) views.push_back(slot.x);
  return views;
}

// Each rank sums some columns for all, so that every rank gets the same bytes.
void LocalGroup::Member::all_reduce(const TensorView& x, const TensorView& y) {
  meet("all_reduce", x, y, [&] {
    const std::vector<TensorView> terms = shown_x();
    const int64_t begin = x.columns() * place_.index() / place_.tp_size;
    const int64_t end = x.columns() * (place_.index() + 1) / place_.tp_size;
    std::vector<TensorView> sums;
    for (const Slot& slot : stage().slots) sums.push_back(columns_of(slot.y, begin, end));
    for (int64_t row = 0; row < x.rows(); ++row) sum_row(terms, row, begin, sums, row);
  });
}

void LocalGroup::Member::reduce_scatter(const TensorView& x, const TensorView& y, Axis axis) {
  meet("reduce_scatter", x, y, [&] {
    const std::vector<TensorView> terms = shown_x();
    const int64_t first_row = axis == Axis::kRows ? place_.index() * y.rows() : 0;
    const int64_t first_column = axis == Axis::kColumns ? place_.index() * y.columns() : 0;
    for (int64_t row = 0; row < y.rows(); ++row) {
      if (first_row + row < x.rows()) {
        sum_row(terms, first_row + row, first_column, std::span(&y, 1), row);
      } else {
        zero_row(y, row);
      }
    }
  });
}

void LocalGroup::Member::all_gather(const TensorView& x, const TensorView& y, Axis axis) {
  meet("all_gather", x, y, [&] {
    const int64_t first_row = axis == Axis::kRows ? place_.index() * x.rows() : 0;
    const int64_t first_column = axis == Axis::kColumns ? place_.index() * x.columns() : 0;
    for (const Slot& slot : stage().slots) {
      const TensorView to = columns_of(slot.y, first_column, first_column + x.columns());
      for (int64_t row = 0; row < x.rows() && first_row + row < y.rows(); ++row)
        copy_row_bytes(x, row, to, first_row + row);
    }
  });
}

// Returns when the next stage has taken it: x may then be overwritten.
void LocalGroup::Member::send(const TensorView& x) {
  OCTAVO_CHECK(!place_.is_last_stage());
  std::unique_lock lock(group_.mutex_);
  const TensorView*& outgoing = stage().outgoing[index()];
  outgoing = &x;
  group_.changed_.notify_all();
  wait("send", lock, [&] { return outgoing == nullptr; });
  ++group_.calls_;
}

void LocalGroup::Member::recv(const TensorView& y) {
  OCTAVO_CHECK(!place_.is_first_stage());
  const TensorView*& incoming =
      group_.stages_[static_cast<size_t>(place_.stage()) - 1]->outgoing[index()];
  std::unique_lock lock(group_.mutex_);
  wait("recv", lock, [&] { return incoming != nullptr; });
  const TensorView& x = *incoming;
  if (x.shape != y.shape || x.dtype != y.dtype) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("[recv] rank {}: expected {}, was sent {}", place_.rank,
                            to_string(y.shape), to_string(x.shape)));
  }
  for (int64_t row = 0; row < y.rows(); ++row) copy_row_bytes(x, row, y, row);
  incoming = nullptr;
  ++group_.calls_;
  group_.changed_.notify_all();
}

LocalGroup::LocalGroup(int64_t tp_size, int64_t pp_size, LocalGroupOptions options)
    : options_(std::move(options)) {
  for (int64_t rank = 0; rank < tp_size * pp_size; ++rank) {
    members_.push_back(std::make_unique<Member>(
        *this, RankPlace{.tp_size = tp_size, .pp_size = pp_size, .rank = rank}));
  }
  for (int64_t stage = 0; stage < pp_size; ++stage)
    stages_.push_back(std::make_unique<Stage>(tp_size));
}

LocalGroup::~LocalGroup() = default;

Communicator& LocalGroup::member(int64_t rank) { return *members_[static_cast<size_t>(rank)]; }

void LocalGroup::set_busy(int64_t rank, bool busy) {
  const std::lock_guard lock(mutex_);
  members_[static_cast<size_t>(rank)]->busy_ = busy;
}

void LocalGroup::fail(int64_t rank, std::string_view why) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = fmt::format("rank {} failed: {}", rank, why);
  changed_.notify_all();
}

std::string LocalGroup::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void LocalGroup::wait_until(const std::function<bool()>& done) {
  std::unique_lock lock(mutex_);
  wait(lock, done);
}

void LocalGroup::notify() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

uint64_t LocalGroup::progress() const {
  return calls_ + (options_.work_done ? options_.work_done() : 0);
}

void LocalGroup::throw_failure() const { throw Error(ErrorCategory::kDevice, failure_); }

// A rank that stalls lets the others end up waiting for it, and then nothing happens any more.
void LocalGroup::wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done) {
  using Clock = std::chrono::steady_clock;
  uint64_t seen = progress();
  Clock::time_point since = Clock::now();
  while (true) {
    if (!failure_.empty()) throw_failure();
    if (done()) return;
    changed_.wait_for(lock, options_.stall_limit / 8);
    const uint64_t now = progress();
    if (now != seen) {
      seen = now;
      since = Clock::now();
    } else if (!done() && Clock::now() - since > options_.stall_limit) {
      fail_stalled();
    }
  }
}

void LocalGroup::fail_stalled() {
  if (!failure_.empty()) return;
  std::string computing, waiting;
  for (const auto& member : members_) {
    if (!member->busy_) continue;
    std::string& list = member->waits_in().empty() ? computing : waiting;
    if (!list.empty()) list += ", ";
    list += std::to_string(member->place().rank);
    if (!member->waits_in().empty()) list += fmt::format(" in {}", member->waits_in());
  }
  failure_ = computing.empty() ? "every rank waits for another one"
                               : fmt::format("rank {} stalled", computing);
  failure_ += fmt::format(": nothing happened for {} ms", options_.stall_limit.count());
  if (!waiting.empty()) failure_ += fmt::format(" while these waited: {}", waiting);
  changed_.notify_all();
}

}  // namespace octavo
