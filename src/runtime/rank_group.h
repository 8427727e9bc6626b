// RankGroup: the ranks of an engine, each with its plans and inputs; steps run on all at once.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/plan_runner.h"

namespace octavo {

// What one rank runs, and where.
struct RankImage {
  std::shared_ptr<const EngineImage> image;
  std::shared_ptr<Device> device;
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

  // Runs a step and returns its logits, which are on the device of the last stage's first rank.
  // `before` runs first where there is one rank. Throws Error(kDevice) where a rank failed, now or
  // earlier.
  TensorView run(const Batch& batch, const SymbolValues& sizes, bool is_decode,
                 const std::function<void(const StepBuffers&)>& before);

 private:
  struct Rank;
  struct Threads;

  std::vector<std::unique_ptr<Rank>> alone_;  // the one rank, where there is one
  std::shared_ptr<Threads> threads_;          // or several
};

}  // namespace octavo
