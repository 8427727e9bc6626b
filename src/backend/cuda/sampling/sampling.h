// Sampling on the device: what runtime/sampler.h computes, a step ahead of the host.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: a drawn token is a function of its row alone, whatever else is in the batch. Everything is
// asynchronous, allocates nothing, and can be captured in a CUDA graph.
#pragma once

#include "backend/cuda/launch.h"
#include "ops/sampling.h"

namespace octavo::cuda {

// Rows are held in the shared memory of a cluster of eight.
inline constexpr int32_t kMaxSampledVocab = 8 * 56 * 1024;

// Rows that are greedy and nothing else: one pass over the logits.
void launch_greedy(const SampleArgs& args, const Launch& where);
// Any rows. Throws Error(kUnsupported) above kMaxSampledVocab.
void launch_sample(const SampleArgs& args, const Launch& where);
void launch_sample_rows(const SampleArgs& args, const Launch& where);  // without that check

void launch_begin_slots(const SlotHistories& histories, const Launch& where);

void launch_step_tokens(const StepTokens& tokens, const Launch& where);

}  // namespace octavo::cuda
