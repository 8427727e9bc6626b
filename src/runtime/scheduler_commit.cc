// Applies results: tokens, ends, and what a sequence gives back once no step names it.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "core/error.h"
#include "runtime/scheduler.h"

namespace octavo {

void Scheduler::commit(const StepResult& result) {
  if (steps_.empty() || steps_.front().id != result.id) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("scheduler: result of step {}, expected {}", result.id,
                            steps_.empty() ? -1 : steps_.front().id));
  }
  const auto samples = std::ranges::count_if(steps_.front().parts, &LaunchedPart::sample);
  if (static_cast<size_t>(samples) != result.tokens.size()) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("scheduler: {} tokens of step {}, expected {}", result.tokens.size(),
                            result.id, samples));
  }
  const LaunchedStep step = std::move(steps_.front());
  steps_.pop_front();
  events_.reserve(events_.size() + result.tokens.size());
  size_t next_token = 0;
  for (const LaunchedPart& part : step.parts) {
    Sequence& sequence = *part.sequence;
    --sequence.in_flight;
    sequence.num_computed += part.num_tokens;
    if (sequence.state != SequenceState::kFinished) publish(sequence);
    if (part.sample) {
      --sequence.samples_in_flight;
      const SampledToken& token = result.tokens[next_token++];
      if (sequence.state != SequenceState::kFinished) accept(sequence, token);
    }
    settle(sequence);
  }
}

void Scheduler::publish(Sequence& sequence) {
  const int64_t size = config_.tokens_per_block;
  while ((sequence.num_published + 1) * size <= sequence.num_computed) {
    const auto tokens =
        std::span(sequence.tokens)
            .subspan(static_cast<size_t>(sequence.num_published * size), static_cast<size_t>(size));
    const int32_t block = sequence.blocks[static_cast<size_t>(sequence.num_published)];
    sequence.last_content =
        blocks_.publish(block, sequence.cache_salt, sequence.last_content, tokens);
    ++sequence.num_published;
  }
}

void Scheduler::accept(Sequence& sequence, const SampledToken& token) {
  if (token.numerical_error) {
    // Whatever produced it may stand in the cache: nobody else shall find it there.
    for (const int32_t block : sequence.blocks) blocks_.forget(block);
    finish(sequence, FinishReason::kError, "numerical_error: the logits hold NaN or infinity");
    return;
  }
  const int64_t index = sequence.num_outputs();
  sequence.tokens.push_back(token.token);
  ++statistics_.sampled_tokens;
  const SamplingParams& sampling = sequence.sampling;
  const auto& ends = sampling.stop_token_ids;
  const bool is_end =
      index >= sampling.min_tokens && std::ranges::find(ends, token.token) != ends.end();
  events_.push_back({.id = sequence.id, .token = token, .is_end = is_end});
  if (is_end) {
    finish(sequence, FinishReason::kStop, "");
  } else if (sequence.num_outputs() == sampling.max_tokens) {
    finish(sequence, FinishReason::kLength, "");
  }
}

void Scheduler::finish(RequestId id, FinishReason reason, std::string message) {
  const auto entry = sequences_.find(id);
  if (entry == sequences_.end() || entry->second->state == SequenceState::kFinished) return;
  Sequence& sequence = *entry->second;
  finish(sequence, reason, std::move(message));
  settle(sequence);
}

// Leaves settling to the caller, who may still use the sequence.
void Scheduler::finish(Sequence& sequence, FinishReason reason, std::string message) {
  events_.push_back({.id = sequence.id,
                     .finished = reason,
                     .message = std::move(message),
                     .cached_tokens = sequence.cached_tokens,
                     .preemptions = sequence.preemptions});
  if (sequence.state == SequenceState::kRunning) {
    leave_running(sequence, SequenceState::kFinished);
  } else if (sequence.state == SequenceState::kWaiting) {
    waiting_.erase(sequence.arrival);
  }
  sequence.state = SequenceState::kFinished;
}

void Scheduler::leave_running(Sequence& sequence, SequenceState state) {
  running_.erase(sequence.arrival);
  if (sequence.reserved_blocks > 0) reserved_ -= sequence.reserved_blocks - sequence.num_blocks();
  sequence.reserved_blocks = 0;
  draining_blocks_ += sequence.num_blocks();
  sequence.state = state;
}

// Gives back what a sequence holds as soon as it is not running and no step names it.
void Scheduler::settle(Sequence& sequence) {
  if (sequence.state == SequenceState::kRunning || sequence.in_flight > 0) return;
  draining_blocks_ -= sequence.num_blocks();
  blocks_.release(sequence.blocks, sequence.id);
  sequence.blocks.clear();
  if (sequence.slot >= 0) free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
  if (sequence.state == SequenceState::kFinished) sequences_.erase(sequence.id);
}

void Scheduler::check_progress() {
  if (!steps_.empty() || sequences_.empty()) return;
  if (++idle_calls_ < kMaxIdleCalls) return;
  idle_calls_ = 0;
  ++statistics_.stalls;
  const Queue& queue = running_.empty() ? waiting_ : running_;
  if (queue.empty()) {
    throw Error(ErrorCategory::kInternal, "scheduler: nothing to fail in a stall: " + describe());
  }
  Sequence& oldest = *queue.begin()->second;
  finish(oldest, FinishReason::kError,
         fmt::format("stalled: {} calls without a step: {}", kMaxIdleCalls, describe()));
  settle(oldest);
}

std::string Scheduler::describe() const {
  return fmt::format(
      "{} running, {} waiting, {} steps in flight; blocks: {} used, {} cached, {} free, {} "
      "reserved, "
      "{} draining; {} free slots",
      running_.size(), waiting_.size(), steps_.size(), blocks_.num_used(), blocks_.num_cached(),
      blocks_.num_free(), reserved_, draining_blocks_, free_slots_.size());
}

SchedulerStatistics Scheduler::statistics() const {
  SchedulerStatistics statistics = statistics_;
  statistics.waiting = static_cast<int64_t>(waiting_.size());
  statistics.running = static_cast<int64_t>(sequences_.size() - waiting_.size());
  statistics.used_blocks = blocks_.num_used();
  statistics.cached_blocks = blocks_.num_cached();
  statistics.total_blocks = blocks_.num_blocks();
  return statistics;
}

void Scheduler::check_invariants() const {
  const auto require = [this](bool condition, std::string_view what) {
    if (condition) return;
    throw Error(ErrorCategory::kInternal, fmt::format("scheduler: {}: {}", what, describe()));
  };
  blocks_.check_invariants();
  int64_t reserved = 0, draining = 0;
  size_t waiting = 0, running = 0;
  std::vector<int32_t> references(static_cast<size_t>(blocks_.num_blocks()));
  std::set<int32_t> slots(free_slots_.begin(), free_slots_.end());
  require(slots.size() == free_slots_.size(), "a slot is free twice");
  for (const auto& [id, sequence] : sequences_) {
    for (const int32_t block : sequence->blocks) ++references[static_cast<size_t>(block)];
    const bool holds = sequence->state == SequenceState::kRunning || sequence->in_flight > 0;
    require(holds == (sequence->slot >= 0), "a slot outside running and draining");
    require(holds || sequence->blocks.empty(), "blocks outside running and draining");
    require(!holds || slots.insert(sequence->slot).second, "a slot is used twice");
    require(sequence->preemptions <= kMaxPreemptions, "too many preemptions");
    require(sequence->bypassed <= kMaxBypasses, "too many bypasses");
    require(sequence->state != SequenceState::kFinished || sequence->in_flight > 0,
            "a late finish");
    if (sequence->state == SequenceState::kWaiting) ++waiting;
    if (sequence->state == SequenceState::kRunning) {
      ++running;
      if (sequence->reserved_blocks > 0)
        reserved += sequence->reserved_blocks - sequence->num_blocks();
    } else {
      draining += sequence->num_blocks();
    }
  }
  require(waiting == waiting_.size() && running == running_.size(), "a lost sequence");
  require(reserved == reserved_ && reserved <= blocks_.num_available(), "wrong reservations");
  require(draining == draining_blocks_, "wrong count of draining blocks");
  require(static_cast<int32_t>(slots.size()) ==
              std::min(config_.max_batch_size, config_.max_num_tokens),
          "a lost slot");
  for (int32_t block = 0; block < blocks_.num_blocks(); ++block) {
    require(references[static_cast<size_t>(block)] <= blocks_.references(block), "a freed block");
  }
}

}  // namespace octavo
