// A device without a model: its next token is a hash of the prefix that its KV memory holds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include "runtime/counter_random.h"
#include "runtime/step.h"

namespace octavo::testing {

// One KV cell depends on the whole prefix, as a deep layer's does.
inline uint64_t extend_prefix(uint64_t prefix, int32_t token, int64_t position) {
  return mix_bits(prefix * 31 + static_cast<uint64_t>(token) * 1000003 +
                  static_cast<uint64_t>(position));
}

// Hash of how often the penalised tokens occurred; tells a wrong history.
class PenaltyState {
 public:
  void reset() { hash_ = 0; }
  void count(int32_t token, bool output) {
    hash_ += mix_bits(static_cast<uint64_t>(token) * 2 + (output ? 1 : 0) + 17);
  }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0;
};

inline int32_t draw_token(uint64_t prefix, const SamplingParams& params, int64_t output_index,
                          const PenaltyState& penalties, int32_t vocab_size) {
  uint64_t key = prefix;
  if (params.seed) key ^= counter_random(*params.seed, static_cast<uint64_t>(output_index));
  if (has_penalties(params)) key ^= penalties.hash();
  return static_cast<int32_t>(mix_bits(key) % static_cast<uint64_t>(vocab_size));
}

struct FakeLimits {
  int32_t num_blocks = 0;
  int32_t tokens_per_block = 0;
  int32_t vocab_size = 0;
  int32_t max_batch_size = 0;
  int64_t max_num_tokens = 0;
  int depth = 0;
};

// Runs each step as late as wait() and checks at launch what a real device cannot: that no step
// writes what another step in flight names.
class FakeExecutor : public StepExecutor {
 public:
  explicit FakeExecutor(const FakeLimits& limits)
      : limits_(limits),
        memory_(static_cast<size_t>(limits.num_blocks) *
                static_cast<size_t>(limits.tokens_per_block)),
        slots_(static_cast<size_t>(limits.max_batch_size)) {}

  void launch(const Step& step) override {
    check(step);
    pending_.push_back(step);
    ++num_steps;
    if (fail_launch == num_steps) throw std::runtime_error("injected launch failure");
  }

  StepResult wait() override {
    require(!pending_.empty(), "wait without a launched step");
    const Step step = std::move(pending_.front());
    pending_.pop_front();
    StepResult result{.id = step.id};
    for (const StepSequence& sequence : step.sequences) run(sequence, result);
    if (fail_wait == step.id) throw std::runtime_error("injected device failure");
    return result;
  }

  int64_t num_steps = 0;
  int64_t fail_launch = -1, fail_wait = -1;
  // A token after which the logits are broken.
  int32_t poison_token = -1;

 private:
  struct Cell {
    int32_t token = -1;
    int64_t position = -1;
    uint64_t prefix = 0xDEAD;
  };
  struct Slot {
    int32_t last_token = -1;
    PenaltyState penalties;
  };

  static void require(bool condition, const char* what) {
    if (!condition) throw std::logic_error(what);
  }

  Cell& cell(const StepSequence& sequence, int64_t position) {
    const int64_t block =
        sequence.blocks.at(static_cast<size_t>(position / limits_.tokens_per_block));
    return memory_.at(static_cast<size_t>(block * limits_.tokens_per_block +
                                          position % limits_.tokens_per_block));
  }

  void check(const Step& step) const {
    require(static_cast<int>(pending_.size()) <= limits_.depth, "more steps in flight than depth");
    require(!step.sequences.empty(), "an empty step");
    require(static_cast<int32_t>(step.sequences.size()) <= limits_.max_batch_size, "batch size");
    require(step.num_tokens <= limits_.max_num_tokens, "more tokens than max_num_tokens");
    std::set<int32_t> slots;
    std::map<int32_t, int32_t> writers;  // block → slot
    int64_t tokens = 0;
    for (const StepSequence& sequence : step.sequences) {
      tokens += sequence.num_tokens;
      require(sequence.num_tokens > 0, "a sequence without tokens");
      require(slots.insert(sequence.slot).second, "a slot named twice");
      require(sequence.slot >= 0 && sequence.slot < limits_.max_batch_size, "slot out of range");
      require(sequence.tokens.empty()
                  ? sequence.num_tokens == 1 && sequence.first_position > 0
                  : sequence.tokens.size() == static_cast<size_t>(sequence.num_tokens),
              "wrong number of token ids");
      const int32_t last = sequence.first_position + sequence.num_tokens - 1;
      for (int32_t b = sequence.first_position / limits_.tokens_per_block;
           b <= last / limits_.tokens_per_block; ++b) {
        require(writers.emplace(sequence.blocks.at(static_cast<size_t>(b)), sequence.slot).second,
                "a block written twice");
      }
    }
    require(tokens == step.num_tokens, "wrong token count");
    check_conflicts(step, writers);
    for (const Step& other : pending_) check_conflicts(other, writers);
  }

  // A written block may be named only by the writer itself: by its slot, in every step in flight.
  static void check_conflicts(const Step& step, const std::map<int32_t, int32_t>& writers) {
    for (const StepSequence& sequence : step.sequences) {
      for (const int32_t block : sequence.blocks) {
        const auto writer = writers.find(block);
        require(writer == writers.end() || writer->second == sequence.slot,
                "a block is written while another sequence reads it");
      }
    }
  }

  void run(const StepSequence& sequence, StepResult& result) {
    Slot& slot = slots_[static_cast<size_t>(sequence.slot)];
    if (!sequence.history.empty()) {
      slot.penalties.reset();
      const size_t prompt = sequence.history.size() - static_cast<size_t>(sequence.output_index);
      for (size_t i = 0; i < sequence.history.size(); ++i) {
        slot.penalties.count(sequence.history[i], i >= prompt);
      }
    }
    for (int32_t i = 0; i < sequence.num_tokens; ++i) {
      const int32_t position = sequence.first_position + i;
      const int32_t token =
          sequence.tokens.empty() ? slot.last_token : sequence.tokens[static_cast<size_t>(i)];
      const uint64_t before = position == 0 ? 0 : cell(sequence, position - 1).prefix;
      cell(sequence, position) = {token, position, extend_prefix(before, token, position)};
    }
    if (!sequence.sample) return;
    result.tokens.push_back(sample(sequence, slot));
  }

  SampledToken sample(const StepSequence& sequence, Slot& slot) {
    // Attention reads every position: any stale cell changes the token.
    const int32_t last = sequence.first_position + sequence.num_tokens - 1;
    uint64_t prefix = 0;
    for (int32_t position = 0; position <= last; ++position) {
      const Cell& read = cell(sequence, position);
      prefix = extend_prefix(prefix, read.token, read.position);
      if (prefix != read.prefix) prefix ^= 0xBAD;
    }
    SampledToken result;
    if (poison_token >= 0 && cell(sequence, last).token == poison_token) {
      result.numerical_error = true;
      return result;
    }
    result.token = draw_token(prefix, *sequence.sampling, sequence.output_index, slot.penalties,
                              limits_.vocab_size);
    slot.penalties.count(result.token, /*output=*/true);
    slot.last_token = result.token;
    return result;
  }

  FakeLimits limits_;
  std::vector<Cell> memory_;
  std::vector<Slot> slots_;
  std::deque<Step> pending_;
};

// The same model run alone, without blocks, steps or batches. `stop_ids`: where it ends.
inline std::vector<int32_t> solo_tokens(const std::vector<int32_t>& prompt,
                                        const SamplingParams& params,
                                        const std::vector<int32_t>& stop_ids, int32_t vocab_size) {
  uint64_t prefix = 0;
  PenaltyState penalties;
  int64_t position = 0;
  for (const int32_t token : prompt) {
    prefix = extend_prefix(prefix, token, position++);
    penalties.count(token, false);
  }
  std::vector<int32_t> output;
  while (static_cast<int64_t>(output.size()) < params.max_tokens) {
    const int64_t index = static_cast<int64_t>(output.size());
    const int32_t token = draw_token(prefix, params, index, penalties, vocab_size);
    output.push_back(token);
    penalties.count(token, true);
    const bool stop = std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end();
    if (stop && index >= params.min_tokens) break;
    prefix = extend_prefix(prefix, token, position++);
  }
  return output;
}

}  // namespace octavo::testing
