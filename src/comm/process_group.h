// ProcessGroup: ranks that are processes, and what they say to each other beside their matrices.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: every rank knows within 10 s that another one ended, stalled or never came, and which.
// Non-goals: matrices (a Communicator's), keeping strangers out: whoever reaches the port can speak
// as a rank, so it belongs to a network of the ranks' own, as NCCL's ports do.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/rank_environment.h"

namespace octavo {

struct ProcessGroupOptions {
  std::chrono::milliseconds connect_limit{60'000};  // for all ranks to come
  // A rank of which nothing is heard for so long has failed, and so has a group of which none gets
  // on while some wait.
  std::chrono::milliseconds stall_limit{8000};
};

// What a rank asked its device for and what of that is done, in calls between ranks.
struct RankProgress {
  uint64_t asked = 0;
  uint64_t done = 0;
  int64_t group = 0;  // ranks of one group make the same calls

  bool waits() const { return asked != done; }
};

// The device's side of a rank, called from the group's thread.
class RankWatch {
 public:
  virtual ~RankWatch() = default;
  virtual RankProgress progress() = 0;
  virtual std::string failure() = 0;  // of the device or its links; empty: none
  virtual void end() noexcept = 0;    // ends what waits for other ranks; may be called again
};

class ProcessGroup {
 public:
  // Returns when all ranks have come. Throws Error(kDevice) naming those that have not.
  explicit ProcessGroup(const RankEnvironment& environment,
                        const ProcessGroupOptions& options = {});
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int64_t rank() const;
  int64_t size() const;
  bool leads() const { return rank() == 0; }

  // Called by all: `own` of every rank, in order, goes to rank 0, whose answer goes to all. What
  // `answer` throws ends all ranks. Throws as check() does.
  using Answer = std::function<std::string(const std::vector<std::string>&)>;
  std::string exchange(std::string_view own, const Answer& answer);
  // An exchange in which all have to say the same; Error(kUnsupported) on rank 0 otherwise.
  void agree(std::string_view what, std::string_view own);

  // Rank 0's words to all others, who take them in order; nothing where rank 0 has finished.
  void publish(std::string_view bytes);
  std::optional<std::string> next();
  // Rank 0: no more words; returns when all others have called it too, after their last one, or
  // after some seconds. Never throws.
  void finish() noexcept;

  // `watch` is asked several times a second until it is replaced; null: nothing. It is not used
  // any more when the call returns.
  void set_watch(std::shared_ptr<RankWatch> watch);

  // Ends all ranks with an error that names this one. The first failure counts.
  void fail(std::string_view why) noexcept;
  std::string failure() const;  // empty: none
  void check() const;           // throws it as Error(kDevice)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace octavo
