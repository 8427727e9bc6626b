// Wiring of model, runner and engine.
// SPDX-License-Identifier: Apache-2.0
#include "api/session.h"

#include "api/registry.h"

namespace octavo {
namespace {

SchedulerPolicy policy_of(const std::string& name) {
  if (name == "guaranteed_no_evict") return SchedulerPolicy::kGuaranteedNoEvict;
  if (name == "max_utilization") return SchedulerPolicy::kMaxUtilization;
  throw Error(
      ErrorCategory::kUsage,
      fmt::format("--scheduler_policy: expected guaranteed_no_evict|max_utilization, got \"{}\"",
                  printable(name)));
}

EngineOptions engine_options(const LoadedModel& model, const Runner& runner,
                             const RuntimeOptions& options) {
  if (options.depth < 0 || options.depth > 2) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("depth: expected 0 to 2, got {}", options.depth));
  }
  const EngineConfig& config = model.image->config;
  EngineOptions engine;
  engine.scheduler = {.policy = policy_of(options.scheduler_policy),
                      .max_batch_size = static_cast<int32_t>(runner.max_batch_size()),
                      .max_num_tokens = static_cast<int32_t>(runner.max_num_tokens()),
                      .max_seq_len = static_cast<int32_t>(config.max_seq_len),
                      .tokens_per_block = static_cast<int32_t>(config.tokens_per_block),
                      .num_blocks = static_cast<int32_t>(runner.num_blocks()),
                      .enable_block_reuse = options.kv_cache_config.enable_block_reuse,
                      // As many more as there are other stages for the steps to be in.
                      .depth = options.depth + static_cast<int32_t>(config.pp_size) - 1,
                      .micro_batches = static_cast<int32_t>(config.pp_size)};
  engine.vocab_size = config.vocab_size;
  engine.eos_token_ids = config.eos_token_ids;
  engine.tokenizer = model.tokenizer;
  return engine;
}

}  // namespace

Session::Session(const ModelOptions& model, const RuntimeOptions& runtime, Progress& progress)
    : pool_(std::make_shared<ThreadPool>(model.threads)) {
  *this = Session(load_model(model, *pool_, progress), with_engine_limits(runtime, model), pool_);
}

Session::Session(LoadedModel model, const RuntimeOptions& runtime, std::shared_ptr<ThreadPool> pool)
    : pool_(std::move(pool)), model_(std::move(model)) {
  runner_ =
      std::make_unique<Runner>(model_.ranks(), kernel_registry(), runner_options(model_, runtime));
  engine_ = std::make_unique<Engine>(engine_options(model_, *runner_, runtime), *runner_);
}

}  // namespace octavo
