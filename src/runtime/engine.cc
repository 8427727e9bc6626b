// The loop between requests, scheduler and executor.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine.h"

#include <chrono>
#include <exception>

#include "core/error.h"
#include "runtime/counter_random.h"
#include "runtime/text_stream.h"

namespace octavo {
namespace {

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "error";
}

struct Engine::Active {
  RequestOutput output;
  std::optional<TextStream> text;
  bool wants_logprobs = false;
  std::optional<double> deadline;
  std::function<void(const TokenUpdate&)> on_token;
  std::function<void(RequestOutput)> on_finish;
};

Engine::Engine(EngineOptions options, StepExecutor& executor)
    : options_(std::move(options)), executor_(executor), scheduler_(options_.scheduler) {
  if (!options_.clock) options_.clock = monotonic_seconds;
  for (const int32_t id : options_.eos_token_ids) {
    if (id < 0 || id >= options_.vocab_size) {
      throw Error(ErrorCategory::kUsage, "", "eos_token_ids",
                  fmt::format("expected ids from 0 to {}, got {}", options_.vocab_size - 1, id));
    }
  }
}

Engine::~Engine() = default;

void Engine::check(const Request& request) const {
  validate(request.sampling, options_.vocab_size);
  for (const int32_t id : request.prompt_token_ids) {
    if (id < 0 || id >= options_.vocab_size) {
      throw Error(ErrorCategory::kUsage, "", "prompt_token_ids",
                  fmt::format("expected ids from 0 to {}, got {}", options_.vocab_size - 1, id));
    }
  }
  if (request.timeout_seconds && !(*request.timeout_seconds > 0)) {
    throw Error(ErrorCategory::kUsage, "", "timeout_seconds",
                fmt::format("expected above 0, got {}", *request.timeout_seconds));
  }
  if (options_.tokenizer) return;
  for (const auto& [field, used] :
       {std::pair("prompt", !request.prompt.empty() && request.prompt_token_ids.empty()),
        std::pair("stop", !request.sampling.stop.empty())}) {
    if (used) throw Error(ErrorCategory::kUsage, "", field, "needs a tokenizer");
  }
}

std::unique_ptr<Engine::Active> Engine::make_active(Request& request) const {
  auto active = std::make_unique<Active>();
  RequestOutput& output = active->output;
  output.id = next_id_;
  output.prompt = std::move(request.prompt);
  output.prompt_token_ids = std::move(request.prompt_token_ids);
  if (options_.tokenizer) {
    if (output.prompt_token_ids.empty()) {
      output.prompt_token_ids =
          options_.tokenizer->encode(output.prompt, request.sampling.add_special_tokens);
    }
    active->text.emplace(*options_.tokenizer, request.sampling);
  }
  output.submitted = options_.clock();
  if (request.timeout_seconds) active->deadline = output.submitted + *request.timeout_seconds;
  active->wants_logprobs = request.sampling.logprobs.has_value();
  active->on_token = std::move(request.on_token);
  active->on_finish = std::move(request.on_finish);
  return active;
}

// What the executor needs to know is in the parameters themselves: end ids and seed.
SamplingParams Engine::resolve(SamplingParams sampling) const {
  if (!sampling.ignore_eos) {
    sampling.stop_token_ids.insert(sampling.stop_token_ids.end(), options_.eos_token_ids.begin(),
                                   options_.eos_token_ids.end());
  }
  if (!sampling.seed && !is_greedy(sampling)) {
    sampling.seed = counter_random(options_.seed, static_cast<uint64_t>(next_id_));
  }
  return sampling;
}

RequestId Engine::submit(Request request) {
  if (!poisoned_.empty()) throw Error(ErrorCategory::kDevice, "engine: " + poisoned_);
  check(request);
  const RequestId id = next_id_;
  const auto entry = active_.emplace(id, make_active(request)).first;
  const Active& active = *entry->second;
  try {
    scheduler_.add({.id = id,
                    .prompt = active.output.prompt_token_ids,
                    .sampling = resolve(std::move(request.sampling)),
                    .cache_salt = request.cache_salt});
  } catch (...) {
    active_.erase(entry);
    throw;
  }
  ++next_id_;
  ++statistics_.submitted;
  statistics_.prompt_tokens += static_cast<int64_t>(active.output.prompt_token_ids.size());
  if (active.deadline) ++num_deadlines_;
  return id;
}

bool Engine::abort(RequestId id) {
  if (!active_.contains(id)) return false;
  scheduler_.finish(id, FinishReason::kAbort);
  guard([this] { deliver(); });
  return true;
}

bool Engine::step() {
  if (!poisoned_.empty()) throw Error(ErrorCategory::kDevice, "engine: " + poisoned_);
  guard([this] {
    expire();
    while (const std::optional<Step> step = scheduler_.schedule()) executor_.launch(*step);
    if (scheduler_.num_in_flight() > 0) scheduler_.commit(executor_.wait());
    deliver();
  });
  return scheduler_.has_work();
}

// Whatever fails between executor and delivery leaves requests half served: none may go on.
void Engine::guard(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    poisoned_ = error.what();
    for (auto it = active_.begin(); it != active_.end(); it = active_.begin()) {
      SchedulerEvent event{.finished = FinishReason::kError, .message = poisoned_};
      complete(*it->second, event);
    }
    throw;
  }
}

void Engine::run_until_idle() {
  while (step()) {
  }
}

void Engine::expire() {
  if (num_deadlines_ == 0) return;
  const double now = options_.clock();
  for (const auto& [id, active] : active_) {
    if (active->deadline && now >= *active->deadline) {
      scheduler_.finish(id, FinishReason::kError, "timeout: the request passed its deadline");
    }
  }
}

// A callback may abort or submit, which leads here again: the outer loop then delivers.
void Engine::deliver() {
  if (delivering_) return;
  delivering_ = true;
  const std::unique_ptr<bool, void (*)(bool*)> reset(&delivering_,
                                                     [](bool* flag) { *flag = false; });
  for (auto events = scheduler_.take_events(); !events.empty(); events = scheduler_.take_events()) {
    for (SchedulerEvent& event : events) {
      const auto entry = active_.find(event.id);
      if (entry == active_.end()) continue;
      deliver(*entry->second, event);
    }
  }
}

void Engine::deliver(Active& active, SchedulerEvent& event) {
  if (event.finished) return complete(active, event);
  RequestOutput& output = active.output;
  if (!output.first_token) output.first_token = options_.clock();
  output.token_ids.push_back(event.token->token);
  ++statistics_.generated_tokens;
  if (active.wants_logprobs) output.logprobs.push_back(*event.token);
  std::string text;
  if (active.text) {
    text = active.text->push(event.token->token, event.is_end);
    output.text += text;
    if (active.text->stopped()) scheduler_.finish(event.id, FinishReason::kStop);
  }
  update(active, {.id = event.id, .token = std::move(event.token), .text = std::move(text)});
}

void Engine::update(Active& active, const TokenUpdate& update) {
  if (!active.on_token) return;
  try {
    active.on_token(update);
  } catch (const std::exception& error) {
    active.on_token = nullptr;
    scheduler_.finish(update.id, FinishReason::kError, std::string("callback: ") + error.what());
  } catch (...) {
    active.on_token = nullptr;
    scheduler_.finish(update.id, FinishReason::kError, "callback: unknown exception");
  }
}

// The request leaves last, so that a failure on the way does not lose its output.
void Engine::complete(Active& active, SchedulerEvent& event) {
  RequestOutput& output = active.output;
  const RequestId id = output.id;
  std::string rest = active.text ? active.text->finish() : "";
  output.text += rest;
  // A stop string can be complete in the very token that reaches max_tokens.
  const bool stopped =
      event.finished == FinishReason::kLength && active.text && active.text->stopped();
  output.finish_reason = stopped ? FinishReason::kStop : *event.finished;
  output.error = std::move(event.message);
  output.finished = options_.clock();
  output.cached_tokens = event.cached_tokens;
  output.preemptions = event.preemptions;
  count(active);
  update(active, {.id = id, .text = std::move(rest), .finished = output.finish_reason});
  if (active.on_finish) {
    try {
      active.on_finish(std::move(output));
    } catch (...) {
      // The request is over; nobody is left to tell.
    }
  } else {
    finished_.push_back(std::move(output));
  }
  active_.erase(id);
}

void Engine::count(const Active& active) {
  if (active.deadline) --num_deadlines_;
  ++statistics_.finished;
  statistics_.cached_tokens += active.output.cached_tokens;
  if (active.output.finish_reason == FinishReason::kError) ++statistics_.failed;
  if (active.output.finish_reason == FinishReason::kAbort) ++statistics_.aborted;
}

EngineStatistics Engine::statistics() const {
  EngineStatistics statistics = statistics_;
  statistics.scheduler = scheduler_.statistics();
  return statistics;
}

}  // namespace octavo
