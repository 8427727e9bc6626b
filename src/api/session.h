// Session: a loaded model with its runner and engine, wired together.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "api/model_source.h"
#include "runtime/engine.h"

namespace octavo {

class Session {
 public:
  Session(const ModelOptions& model, const RuntimeOptions& runtime, Progress& progress);
  // Over a model that is loaded already; `pool` outlives the session.
  Session(LoadedModel model, const RuntimeOptions& runtime, std::shared_ptr<ThreadPool> pool);

  const LoadedModel& model() const { return model_; }
  const EngineConfig& config() const { return model_.image->config; }
  Runner& runner() { return *runner_; }
  Engine& engine() { return *engine_; }
  ThreadPool& pool() { return *pool_; }

 private:
  std::shared_ptr<ThreadPool> pool_;
  LoadedModel model_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace octavo
