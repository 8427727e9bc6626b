// One request as the scheduler sees it: its tokens, how far they are computed, what it holds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/block_manager.h"
#include "runtime/sampling_params.h"

namespace octavo {

using RequestId = int64_t;

enum class FinishReason { kStop, kLength, kAbort, kError };

enum class SequenceState {
  kWaiting,   // holds nothing, unless steps in flight still name it after a preemption
  kRunning,   // has a slot and blocks, and work to schedule
  kDraining,  // all its work is scheduled, results are outstanding
  kFinished,  // kept only until the last step that names it is committed
};

struct Sequence {
  RequestId id = 0;
  int64_t arrival = 0;          // order of submission: the age in every policy
  std::vector<int32_t> tokens;  // prompt and known output
  int64_t num_prompt = 0;
  SamplingParams sampling;
  uint64_t cache_salt = 0;

  SequenceState state = SequenceState::kWaiting;
  int64_t num_scheduled = 0;  // positions in launched steps
  int64_t num_computed = 0;   // positions in committed steps
  int32_t in_flight = 0;      // launched steps that name it
  int32_t samples_in_flight = 0;
  bool slot_is_new = false;      // no step has named the slot for this sequence yet
  bool slot_has_sample = false;  // the next token to compute is the slot's last sample

  int32_t group = 0;  // whose steps it is part of
  int32_t slot = -1;
  std::vector<int32_t> blocks;
  int64_t num_published = 0;  // of `blocks`
  BlockManager::ContentId last_content = BlockManager::kNoContent;
  int64_t reserved_blocks = 0;  // worst case, kept for it; 0: none

  int32_t preemptions = 0;
  int32_t bypassed = 0;  // younger requests admitted while it waited, in all
  int64_t cached_tokens = 0;

  int64_t num_known() const { return static_cast<int64_t>(tokens.size()); }
  // With the tokens that are sampled but not known yet.
  int64_t length() const { return num_known() + samples_in_flight; }
  int64_t num_outputs() const { return num_known() - num_prompt; }
  int64_t num_outputs_scheduled() const { return length() - num_prompt; }
  int64_t max_length() const { return num_prompt + sampling.max_tokens; }
  int64_t num_blocks() const { return static_cast<int64_t>(blocks.size()); }
};

}  // namespace octavo
