// Runner: executes an engine's plans step by step: KV pool, batch assembly, logits, sampling.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "comm/process_group.h"
#include "runtime/rank_group.h"
#include "runtime/step.h"
#include "runtime/step_sampler.h"

namespace octavo {

struct RunnerOptions {
  int64_t max_batch_size = 0;  // 0: the engine's
  int64_t max_num_tokens = 0;  // 0: the engine's
  // Blocks of the KV pool; 0: as many as the memory fraction allows, and no more than every
  // sequence of the batch at its greatest length needs.
  int64_t num_blocks = 0;
  double free_memory_fraction = 0.9;
  // Several ranks in which nothing happens for so long have failed.
  std::chrono::milliseconds stall_limit{8000};
  // The other ranks, where each is a process; null: all ranks are of this one.
  std::shared_ptr<ProcessGroup> processes;
};

class Runner final : public StepExecutor {
 public:
  // The image's weights are in the device's memory. Throws Error(kUnsupported) where a kernel named
  // by the engine does not exist here, Error(kOutOfMemory) with needed and available bytes where
  // not even one block fits.
  Runner(std::shared_ptr<const EngineImage> image, const KernelRegistry& registry, Device& device,
         const RunnerOptions& options);
  // The images of all ranks of an engine, in order; each with a thread of its own where there are
  // several. A rank that fails or stalls ends the others: launch() throws Error(kDevice) naming it.
  Runner(std::vector<RankImage> ranks, const KernelRegistry& registry,
         const RunnerOptions& options);
  // Of several processes the first tells the others that no step comes any more.
  ~Runner() override;

  // Ranks in several processes: the first schedules, samples, and publishes what the others run.
  // They do nothing but follow it.
  bool follows() const { return processes_ != nullptr && !processes_->leads(); }
  // Runs what the first process publishes until that has nothing more to run. Throws Error(kDevice)
  // where a rank failed.
  void follow();

  const EngineConfig& config() const { return image_->config; }
  int64_t num_blocks() const { return maxima_.cache_blocks; }
  int64_t max_batch_size() const { return maxima_.sequences; }
  int64_t max_num_tokens() const { return maxima_.tokens; }
  int64_t kv_pool_bytes() const;

  void launch(const Step& step) override;
  StepResult wait() override;

  // Runs one sequence alone, outside any scheduling, and calls `visit(position, logits)` for every
  // position in order. No step may be in flight; the KV pool is overwritten. Throws Error(kUsage)
  // where it is longer than the pool.
  using LogitsVisitor = std::function<void(int64_t position, std::span<const float> logits)>;
  void visit_logits(std::span<const int32_t> ids, const LogitsVisitor& visit);

 private:
  void guard(const std::function<void()>& work);
  void launch_step(const Step& step);
  StepResult wait_for_step();
  int64_t last_read(const Step& step) const;
  bool assemble(const Step& step);
  void launch_batch(bool is_decode, int64_t reads);
  void sample(const Step& step);  // the oldest that was launched and not yet sampled
  void sample_oldest();

  std::shared_ptr<const EngineImage> image_;  // of the first rank, or of this process's
  std::shared_ptr<ProcessGroup> processes_;
  std::shared_ptr<Device> logits_device_;
  SymbolValues maxima_;
  std::unique_ptr<RankGroup> ranks_;
  std::shared_ptr<StepSampler> sampler_;
  Batch batch_;
  std::vector<int64_t> sampled_by_;  // by slot: the last step that samples its token; -1: none
  std::deque<Step> unsampled_;       // launched; their logits are yet to be sampled
  int64_t steps_in_flight_ = 0;
};

}  // namespace octavo
