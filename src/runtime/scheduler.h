// Decides what each step computes: in-flight batching with chunked prefill over a paged KV pool.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/block_manager.h"
#include "runtime/sequence.h"
#include "runtime/step.h"

namespace octavo {

enum class SchedulerPolicy {
  kGuaranteedNoEvict,  // a request starts when its worst case fits, and is never interrupted
  kMaxUtilization,     // a request starts when its tokens fit; the youngest gives way
};

struct SchedulerConfig {
  SchedulerPolicy policy = SchedulerPolicy::kGuaranteedNoEvict;
  int32_t max_batch_size = 2048;
  int32_t max_num_tokens = 8192;
  int32_t max_seq_len = 0;
  int32_t tokens_per_block = 32;
  int32_t num_blocks = 0;
  bool enable_block_reuse = true;
  int32_t depth = 1;  // steps scheduled ahead of the oldest uncommitted one
  // Sequences go in so many groups, whose steps take turns: stages of a pipeline then have a step
  // each that waits for no other one's tokens.
  int32_t micro_batches = 1;
  int64_t max_waiting = 1 << 20;
  BlockManager::Hash hash = nullptr;  // tests force collisions
};

struct SchedulerRequest {
  RequestId id = 0;
  std::vector<int32_t> prompt;
  SamplingParams sampling;  // stop_token_ids hold the end ids as well, where they count
  uint64_t cache_salt = 0;  // requests of different salts never share blocks
};

struct SchedulerEvent {
  RequestId id = 0;
  std::optional<SampledToken> token;
  bool is_end = false;  // the token is one of the request's stop_token_ids, and ended it
  std::optional<FinishReason> finished;
  std::string message;  // of kError
  int64_t cached_tokens = 0;
  int32_t preemptions = 0;
};

struct SchedulerStatistics {
  int64_t running = 0, waiting = 0;
  int64_t used_blocks = 0, cached_blocks = 0, total_blocks = 0;
  int64_t steps = 0, scheduled_tokens = 0, sampled_tokens = 0;
  int64_t admissions = 0, preemptions = 0, stalls = 0;
};

// Works on lengths, not on token values, so that it can run ahead of the device: a sequence found
// finished after being scheduled again loses the later token, and what it holds is freed after the
// last step that names it. Invariants: a request ends in exactly one finished event; it is
// preempted at most kMaxPreemptions times; it starts at most kMaxBypasses admissions of younger
// ones after its turn. Not thread-safe.
class Scheduler {
 public:
  static constexpr int32_t kMaxPreemptions = 4;
  static constexpr int32_t kMaxBypasses = 64;
  static constexpr int32_t kMaxIdleCalls = 1000;

  explicit Scheduler(const SchedulerConfig& config);

  // Throws Error(kUsage) for what can never run, kEnvironment where the queue is full.
  void add(SchedulerRequest request);
  // The next step, or nothing: no work, no room, or `depth` steps ahead already.
  std::optional<Step> schedule();
  // Results in the order of schedule().
  void commit(const StepResult& result);
  // Ends a request in any state; unknown and finished ones are left alone.
  void finish(RequestId id, FinishReason reason, std::string message = "");
  std::vector<SchedulerEvent> take_events() { return std::exchange(events_, {}); }

  bool has_work() const { return !sequences_.empty(); }
  int64_t num_in_flight() const { return static_cast<int64_t>(steps_.size()); }
  SchedulerStatistics statistics() const;
  BlockManager& blocks() { return blocks_; }
  const SchedulerConfig& config() const { return config_; }
  // Throws Error(kInternal) where the books do not balance.
  void check_invariants() const;

 private:
  struct LaunchedPart {
    Sequence* sequence;
    int64_t num_tokens;
    bool sample;
  };
  struct LaunchedStep {
    int64_t id = 0;
    std::vector<LaunchedPart> parts;
  };
  using Queue = std::map<int64_t, Sequence*>;  // by arrival

  void check_fits(const SchedulerRequest& request) const;
  int64_t blocks_for(int64_t tokens) const;
  int64_t headroom() const { return blocks_.num_available() - reserved_; }
  bool is_protected(const Sequence& sequence) const;

  // Those of one group.
  std::optional<Step> schedule(int32_t group);
  void balance(int32_t group);
  int64_t num_running(int32_t group) const;
  void schedule_decode(Step& step, int32_t group, int64_t& budget);
  void schedule_prefill(Step& step, int32_t group, int64_t& budget);
  void schedule_waiting(Step& step, int32_t group, int64_t& budget);
  void append(Sequence& sequence, int64_t num_tokens, Step& step);
  bool admit(Sequence& sequence);
  bool grow(Sequence& sequence, int64_t& claims);
  void preempt(Sequence& sequence);
  void check_progress();

  void accept(Sequence& sequence, const SampledToken& token);
  void publish(Sequence& sequence);
  void finish(Sequence& sequence, FinishReason reason, std::string message);
  void leave_running(Sequence& sequence, SequenceState state);
  void settle(Sequence& sequence);
  std::string describe() const;

  SchedulerConfig config_;
  BlockManager blocks_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;
  Queue waiting_, running_;
  std::deque<LaunchedStep> steps_;
  std::vector<int32_t> free_slots_;
  std::vector<SchedulerEvent> events_;
  int64_t reserved_ = 0;         // blocks promised to running sequences and not yet allocated
  int64_t draining_blocks_ = 0;  // held by sequences that give them back once steps commit
  int64_t next_arrival_ = 0, next_step_ = 0;
  int32_t next_group_ = 0;
  int32_t idle_calls_ = 0;
  SchedulerStatistics statistics_;
};

}  // namespace octavo
