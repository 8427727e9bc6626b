// LocalGroup: ranks that are threads of one process and share its memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "comm/comm.h"

namespace octavo {

struct LocalGroupOptions {
  // A group in which nothing happens for so long, while a rank waits, has failed.
  std::chrono::milliseconds stall_limit{8000};
  // Grows while any rank computes, so that a slow kernel is no stall; null: only calls count.
  std::function<uint64_t()> work_done;
};

class LocalGroup {
 public:
  LocalGroup(int64_t tp_size, int64_t pp_size, LocalGroupOptions options = {});
  ~LocalGroup();
  LocalGroup(const LocalGroup&) = delete;
  LocalGroup& operator=(const LocalGroup&) = delete;

  int64_t ranks() const { return static_cast<int64_t>(members_.size()); }
  int64_t stages() const { return static_cast<int64_t>(stages_.size()); }
  // Called from that rank's thread alone.
  Communicator& member(int64_t rank);

  // A rank with nothing to do is no reason for others to wait; all are busy at first.
  void set_busy(int64_t rank, bool busy);
  // Ends every rank's waiting, now and later, with an error that names this rank. The first
  // failure counts.
  void fail(int64_t rank, std::string_view why);
  // Empty while nothing failed.
  std::string failure() const;

  // For whoever drives the ranks: returns when `done`, which is asked whenever a rank calls
  // notify(). Throws as the members' calls do.
  void wait_until(const std::function<bool()>& done);
  void notify();

 private:
  class Member;
  struct Slot;
  struct Stage;

  void wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done);
  void fail_stalled();
  uint64_t progress() const;
  [[noreturn]] void throw_failure() const;

  LocalGroupOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string failure_;
  uint64_t calls_ = 0;  // completed, of all ranks
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace octavo
