// Runs requests: submits them to the scheduler, drives the executor, delivers tokens and results.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/request.h"
#include "runtime/scheduler.h"
#include "text/tokenizer.h"

namespace octavo {

struct EngineOptions {
  SchedulerConfig scheduler;
  int64_t vocab_size = 0;
  std::vector<int32_t> eos_token_ids;
  std::optional<Tokenizer> tokenizer;  // without it: ids only
  uint64_t seed = 0;                   // of requests without one of their own
  std::function<double()> clock;       // monotonic seconds; empty: the system's monotonic clock
};

struct EngineStatistics {
  SchedulerStatistics scheduler;
  int64_t submitted = 0, finished = 0, failed = 0, aborted = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
};

// All calls come from one thread. What is thrown between executor and delivery poisons the engine:
// every request ends with kError, the exception leaves step(), and nothing is accepted any more.
class Engine {
 public:
  Engine(EngineOptions options, StepExecutor& executor);
  ~Engine();

  // Throws Error and changes nothing where the request is not valid or can never fit.
  RequestId submit(Request request);
  // False where the request is unknown or finished.
  bool abort(RequestId id);
  // One iteration: launches as far ahead as allowed, applies the oldest result, delivers. False
  // when no request is left.
  bool step();
  void run_until_idle();
  std::vector<RequestOutput> take_finished() { return std::exchange(finished_, {}); }

  EngineStatistics statistics() const;
  Scheduler& scheduler() { return scheduler_; }

 private:
  struct Active;

  void check(const Request& request) const;
  std::unique_ptr<Active> make_active(Request& request) const;
  SamplingParams resolve(SamplingParams sampling) const;
  void expire();
  void deliver();
  void deliver(Active& active, SchedulerEvent& event);
  void update(Active& active, const TokenUpdate& update);
  void complete(Active& active, SchedulerEvent& event);
  void count(const Active& active);
  void guard(const std::function<void()>& call);

  EngineOptions options_;
  StepExecutor& executor_;
  Scheduler scheduler_;
  std::map<RequestId, std::unique_ptr<Active>> active_;
  std::vector<RequestOutput> finished_;
  RequestId next_id_ = 0;
  int64_t num_deadlines_ = 0;
  bool delivering_ = false;
  std::string poisoned_;
  EngineStatistics statistics_;
};

}  // namespace octavo
