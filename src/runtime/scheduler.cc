// Builds steps: decodes first, then started prompts, then waiting requests.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/scheduler.h"

#include <algorithm>

#include "core/checked.h"
#include "core/error.h"

namespace octavo {
namespace {

void require(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return;
  throw Error(ErrorCategory::kUsage, "", field,
              fmt::format("expected {} to {}, got {}", low, high, value));
}

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config)
    : config_(config),
      blocks_({.num_blocks = config.num_blocks,
               .tokens_per_block = config.tokens_per_block,
               .enable_reuse = config.enable_block_reuse,
               .hash = config.hash}) {
  require("max_batch_size", config.max_batch_size, 1, 1 << 20);
  require("max_num_tokens", config.max_num_tokens, 1, 1 << 30);
  require("max_seq_len", config.max_seq_len, 1, 1 << 30);
  require("depth", config.depth, 0, 128);
  require("micro_batches", config.micro_batches, 1, 64);
  require("max_waiting", config.max_waiting, 0, int64_t{1} << 40);
  // Every running sequence can decode in every step.
  const int32_t slots = std::min(config.max_batch_size, config.max_num_tokens);
  for (int32_t slot = slots - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

int64_t Scheduler::blocks_for(int64_t tokens) const {
  return ceil_div(tokens, config_.tokens_per_block);
}

bool Scheduler::is_protected(const Sequence& sequence) const {
  return config_.policy == SchedulerPolicy::kGuaranteedNoEvict ||
         sequence.preemptions >= kMaxPreemptions;
}

void Scheduler::check_fits(const SchedulerRequest& request) const {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t output = request.sampling.max_tokens;
  if (prompt < 1) throw Error(ErrorCategory::kUsage, "", "prompt", "expected at least 1 token");
  require("max_tokens", output, 1, int64_t{1} << 40);
  if (prompt + output > config_.max_seq_len) {
    throw Error(ErrorCategory::kUsage, "", "max_tokens",
                fmt::format("prompt {} + max_tokens {} = {} tokens, max_seq_len is {}", prompt,
                            output, prompt + output, config_.max_seq_len));
  }
  if (blocks_for(prompt + output) > config_.num_blocks) {
    throw Error(
        ErrorCategory::kUsage, "", "max_tokens",
        fmt::format("prompt {} + max_tokens {} = {} tokens, the KV cache holds {}", prompt, output,
                    prompt + output, int64_t{config_.num_blocks} * config_.tokens_per_block));
  }
}

void Scheduler::add(SchedulerRequest request) {
  check_fits(request);
  if (sequences_.contains(request.id)) {
    throw Error(ErrorCategory::kUsage, "", "id", fmt::format("request {} exists", request.id));
  }
  if (static_cast<int64_t>(waiting_.size()) >= config_.max_waiting) {
    throw Error(ErrorCategory::kEnvironment, "", "queue",
                fmt::format("expected fewer than {} waiting requests, got {}", config_.max_waiting,
                            waiting_.size()));
  }
  auto sequence = std::make_unique<Sequence>();
  sequence->id = request.id;
  sequence->arrival = next_arrival_++;
  sequence->num_prompt = static_cast<int64_t>(request.prompt.size());
  sequence->tokens = std::move(request.prompt);
  sequence->sampling = std::move(request.sampling);
  sequence->cache_salt = request.cache_salt;
  const auto place = waiting_.emplace(sequence->arrival, sequence.get()).first;
  try {
    sequences_.emplace(request.id, std::move(sequence));
  } catch (...) {
    waiting_.erase(place);
    throw;
  }
}

std::optional<Step> Scheduler::schedule() {
  if (num_in_flight() > config_.depth) return std::nullopt;
  for (int32_t turn = 0; turn < config_.micro_batches; ++turn) {
    const int32_t group = (next_group_ + turn) % config_.micro_batches;
    std::optional<Step> step = schedule(group);
    if (!step) continue;
    next_group_ = (group + 1) % config_.micro_batches;
    return step;
  }
  check_progress();
  return std::nullopt;
}

std::optional<Step> Scheduler::schedule(int32_t group) {
  Step step{.id = next_step_};
  steps_.push_back({.id = next_step_});
  int64_t budget = config_.max_num_tokens;
  schedule_decode(step, group, budget);
  schedule_prefill(step, group, budget);
  schedule_waiting(step, group, budget);
  balance(group);
  if (step.sequences.empty()) {
    steps_.pop_back();
    return std::nullopt;
  }
  step.num_tokens = config_.max_num_tokens - budget;
  ++next_step_;
  idle_calls_ = 0;
  ++statistics_.steps;
  statistics_.scheduled_tokens += step.num_tokens;
  return step;
}

int64_t Scheduler::num_running(int32_t group) const {
  return std::ranges::count_if(running_,
                               [group](const auto& entry) { return entry.second->group == group; });
}

// A group that has fewer sequences than another gets half of what that has more, the youngest. They
// wait for its next turn, when what they are part of now is committed.
void Scheduler::balance(int32_t group) {
  if (config_.micro_batches == 1) return;
  std::vector<int64_t> running(static_cast<size_t>(config_.micro_batches));
  for (const auto& [arrival, sequence] : running_) ++running[static_cast<size_t>(sequence->group)];
  const auto largest = std::ranges::max_element(running);
  const auto from = static_cast<int32_t>(largest - running.begin());
  int64_t moved = (*largest - running[static_cast<size_t>(group)]) / 2;
  for (auto it = running_.rbegin(); it != running_.rend() && moved > 0; ++it) {
    if (it->second->group != from) continue;
    it->second->group = group;
    --moved;
  }
}

// There are no more slots than tokens in a step, so every decode finds room.
void Scheduler::schedule_decode(Step& step, int32_t group, int64_t& budget) {
  // A copy: growing may preempt sequences further down.
  std::vector<Sequence*> ready;
  for (const auto& [arrival, sequence] : running_) {
    if (sequence->group == group && sequence->slot_has_sample) ready.push_back(sequence);
  }
  int64_t claims = 0;
  for (Sequence* sequence : ready) {
    if (sequence->state != SequenceState::kRunning || !grow(*sequence, claims)) continue;
    append(*sequence, 1, step);
    --budget;
  }
}

void Scheduler::schedule_prefill(Step& step, int32_t group, int64_t& budget) {
  std::vector<Sequence*> ready;
  for (const auto& [arrival, sequence] : running_) {
    if (sequence->group == group && !sequence->slot_has_sample) ready.push_back(sequence);
  }
  for (Sequence* sequence : ready) {
    if (budget < 1) return;
    const int64_t chunk = std::min(budget, sequence->num_known() - sequence->num_scheduled);
    append(*sequence, chunk, step);
    budget -= chunk;
  }
}

void Scheduler::schedule_waiting(Step& step, int32_t group, int64_t& budget) {
  std::vector<Sequence*> skipped;
  bool barrier = false;  // somebody was bypassed as often as allowed
  // Groups share who is there and who waits.
  const auto everybody = static_cast<int64_t>(running_.size() + waiting_.size());
  int64_t room = ceil_div(everybody, config_.micro_batches) - num_running(group);
  for (auto it = waiting_.begin(); it != waiting_.end() && !barrier;) {
    if (budget < 1 || room < 1 || free_slots_.empty()) return;
    Sequence& sequence = *(it++)->second;
    if (!admit(sequence)) {
      skipped.push_back(&sequence);
      barrier = sequence.bypassed >= kMaxBypasses || skipped.size() >= kMaxBypasses;
      continue;
    }
    for (Sequence* elder : skipped) barrier |= ++elder->bypassed >= kMaxBypasses;
    sequence.group = group;
    --room;
    const int64_t chunk = std::min(budget, sequence.num_known() - sequence.num_scheduled);
    append(sequence, chunk, step);
    budget -= chunk;
  }
}

bool Scheduler::admit(Sequence& sequence) {
  if (sequence.in_flight > 0) return false;
  const bool reserve = is_protected(sequence);
  const int64_t now = blocks_for(sequence.num_known());
  const int64_t target = reserve ? blocks_for(sequence.max_length()) : now;
  // Without a reservation everybody may need a block soon: room for one each avoids admitting what
  // would be preempted at once.
  const int64_t slack = reserve ? 0 : static_cast<int64_t>(running_.size());
  // The last token is always computed: its logits are needed.
  const BlockManager::Prefix prefix = blocks_.find_prefix(
      sequence.cache_salt, std::span(sequence.tokens).first(sequence.tokens.size() - 1));
  if (target - prefix.num_used + slack > headroom()) return false;

  blocks_.share(prefix.blocks, sequence.id);
  sequence.blocks = prefix.blocks;
  while (sequence.num_blocks() < now) sequence.blocks.push_back(blocks_.allocate(sequence.id));
  sequence.num_published = static_cast<int64_t>(prefix.blocks.size());
  sequence.last_content =
      prefix.blocks.empty() ? BlockManager::kNoContent : blocks_.content(prefix.blocks.back());
  sequence.num_scheduled = sequence.num_published * config_.tokens_per_block;
  sequence.num_computed = sequence.num_scheduled;
  if (sequence.preemptions == 0) sequence.cached_tokens = sequence.num_scheduled;
  if (reserve) {
    sequence.reserved_blocks = target;
    reserved_ += target - now;
  }
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  sequence.slot_is_new = true;
  sequence.slot_has_sample = false;
  sequence.state = SequenceState::kRunning;
  waiting_.erase(sequence.arrival);
  running_.emplace(sequence.arrival, &sequence);
  ++statistics_.admissions;
  return true;
}

// Makes room for one more position; false where the sequence has to sit this step out. `claims`
// counts the blocks that draining sequences will return and that somebody waits for already.
bool Scheduler::grow(Sequence& sequence, int64_t& claims) {
  if (sequence.num_blocks() * config_.tokens_per_block > sequence.num_scheduled) return true;
  if (sequence.reserved_blocks > 0) {
    --reserved_;
  } else {
    while (headroom() < 1) {
      if (claims < draining_blocks_) {
        ++claims;
        return false;
      }
      const auto victim = std::find_if(running_.rbegin(), running_.rend(), [](const auto& entry) {
        return entry.second->reserved_blocks == 0;
      });
      Sequence& youngest = *victim->second;
      preempt(youngest);
      if (&youngest == &sequence) return false;
    }
  }
  sequence.blocks.push_back(blocks_.allocate(sequence.id));
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  leave_running(sequence, SequenceState::kWaiting);
  waiting_.emplace(sequence.arrival, &sequence);
  ++sequence.preemptions;
  ++statistics_.preemptions;
  settle(sequence);
}

void Scheduler::append(Sequence& sequence, int64_t num_tokens, Step& step) {
  const int64_t first = sequence.num_scheduled;
  const int64_t last = first + num_tokens;
  const auto blocks = std::span(sequence.blocks).first(static_cast<size_t>(blocks_for(last)));
  StepSequence part{.slot = sequence.slot,
                    .first_position = static_cast<int32_t>(first),
                    .num_tokens = static_cast<int32_t>(num_tokens),
                    .blocks = {blocks.begin(), blocks.end()},
                    .sample = last == sequence.length(),
                    .sampling = &sequence.sampling,
                    .output_index = sequence.num_outputs_scheduled()};
  if (!sequence.slot_has_sample) {
    part.tokens.assign(sequence.tokens.begin() + first, sequence.tokens.begin() + last);
    if (sequence.slot_is_new && has_penalties(sequence.sampling)) part.history = sequence.tokens;
    sequence.slot_is_new = false;
  }
  steps_.back().parts.push_back({&sequence, num_tokens, part.sample});
  sequence.num_scheduled = last;
  ++sequence.in_flight;
  if (part.sample) {
    sequence.slot_has_sample = true;
    ++sequence.samples_in_flight;
    if (sequence.num_outputs_scheduled() == sequence.sampling.max_tokens) {
      leave_running(sequence, SequenceState::kDraining);
    }
  }
  step.sequences.push_back(std::move(part));
}

}  // namespace octavo
