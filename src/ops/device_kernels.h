// DeviceKernels: what a device computes besides the ops of a Program.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "core/device.h"
#include "ops/fill.h"
#include "ops/kernel.h"
#include "ops/observe.h"
#include "ops/sampling.h"

namespace octavo {

// Tactics of attention in a decode step and of the linears before and behind it, which only make
// sense together.
struct AttentionNeighbours {
  std::string_view before, attention, behind;
};

// All asynchronous; nothing is allocated or read back. The host has none of them: it samples,
// fills and observes through functions of its own.
struct DeviceKernels {
  DeviceType device;
  int least_compute_capability;
  int32_t max_sampled_vocab;                                // columns of the logits, at most
  void (*greedy)(const SampleArgs&, const LaunchContext&);  // where only_greedy() holds
  void (*sample)(const SampleArgs&, const LaunchContext&);
  void (*begin_slots)(const SlotHistories&, const LaunchContext&);
  void (*step_tokens)(const StepTokens&, const LaunchContext&);
  void (*fill)(const Fill&, const LaunchContext&);
  void (*observe)(const ObservedRows&, const LaunchContext&);
  std::span<const AttentionNeighbours> neighbours;  // that a builder may measure
};

}  // namespace octavo
