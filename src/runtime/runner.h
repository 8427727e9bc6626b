// Runner: executes an engine's plan step by step: KV pool, batch assembly, logits, sampling.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ops/kernel.h"
#include "program/engine_image.h"
#include "program/interpreter.h"
#include "runtime/sampler.h"
#include "runtime/step.h"

namespace octavo {

struct RunnerOptions {
  int64_t max_batch_size = 0;  // 0: the engine's
  int64_t max_num_tokens = 0;  // 0: the engine's
  // Blocks of the KV pool; 0: as many as the memory fraction allows, and no more than every
  // sequence of the batch at its greatest length needs.
  int64_t num_blocks = 0;
  double free_memory_fraction = 0.9;
};

class Runner final : public StepExecutor {
 public:
  // Throws Error(kUnsupported) where a kernel named by the engine does not exist here,
  // Error(kOutOfMemory) with needed and available bytes where not even one sequence of the greatest
  // length fits.
  Runner(std::shared_ptr<const EngineImage> image, const KernelRegistry& registry, ThreadPool& pool,
         const RunnerOptions& options);

  const EngineConfig& config() const { return image_->config; }
  int64_t num_blocks() const { return num_blocks_; }
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
  void bind_weights();
  void allocate_cache();
  TensorView run_batch();

  std::shared_ptr<const EngineImage> image_;
  const Program& program_;
  ThreadPool& pool_;
  SymbolValues maxima_;
  int64_t num_blocks_ = 0;
  std::unique_ptr<Interpreter> interpreter_;
  std::vector<std::shared_ptr<std::byte[]>> caches_;
  Batch batch_;
  TensorId logits_;
  Sampler sampler_;
  std::vector<SamplerScratch> scratch_;
  std::vector<int32_t> last_token_;  // by slot
  std::deque<StepResult> results_;
};

}  // namespace octavo
