// RankGroup: the ranks of an engine, each with its plans and inputs; steps run on all in order.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "comm/comm.h"
#include "runtime/plan_runner.h"

namespace octavo {

// What one rank runs, and where.
struct RankImage {
  std::shared_ptr<const EngineImage> image;
  std::shared_ptr<Device> device;
  std::shared_ptr<Communicator> comm;  // null: the rank runs alone, or ranks share the host
};

// What a step does on every rank besides running a plan; called by the ranks' threads, where there
// are several.
struct StepHooks {
  std::function<void(Device&)> start;                       // first of all
  std::function<void(const StepBuffers&, Device&)> inputs;  // first of the plan; part of its graph
};

struct RankGroupOptions {
  SymbolValues maxima;
  int steps_in_flight = 1;
  std::chrono::milliseconds stall_limit{8000};
};

// One rank runs in the caller's thread. Several have a thread each; a rank that stalls for good
// keeps its thread, and all that it uses, beyond the life of the group: nobody waits for it.
class RankGroup {
 public:
  RankGroup(std::vector<RankImage> ranks, const KernelRegistry& registry,
            const RankGroupOptions& options);
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  // See PlanRunner.
  int64_t padded(int64_t sequences) const;

  // Whether launched steps run while the caller goes on: ranks of the host in stages, each of which
  // can have a step of its own. Others have run, or asked their devices to, when launch() returns.
  bool runs_behind() const;

  // Runs a step behind those that were launched before. Throws Error(kDevice) where a rank failed,
  // now or earlier, as the other functions do.
  void launch(const Batch& batch, const SymbolValues& sizes, bool is_decode,
              const StepHooks& hooks);
  // Waits for the oldest step that was not finished yet and shows its logits, which are on the
  // device of the last stage's first rank, and of no use when `use` has returned.
  void finish(const std::function<void(const TensorView& logits)>& use);

  // Throws Error(kDevice) where a device failed at what it was asked for: known once the step's
  // logits are there.
  void check() const;

 private:
  struct Rank;
  struct Threads;

  std::vector<std::unique_ptr<Rank>> alone_;  // the one rank, where there is one
  TensorView logits_;                         // of its last step
  std::shared_ptr<Threads> threads_;          // or several
};

}  // namespace octavo
