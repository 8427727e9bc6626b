// Resolves ModelOptions: an engine directory is loaded, a checkpoint is built in memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "core/thread_pool.h"
#include "model/model_dir.h"
#include "octavo/llm.h"
#include "program/engine_image.h"
#include "runtime/runner.h"
#include "text/tokenizer.h"

namespace octavo {

// A model ready to run. The device outlives the image, whose weights are in its memory.
struct LoadedModel {
  std::shared_ptr<Device> device;
  std::shared_ptr<const EngineImage> image;  // of the first rank
  std::shared_ptr<Communicator> comm;        // of the first rank, where it needs one
  // The ranks' processes, where each is one: the first rank is then this one's, and the only one.
  std::shared_ptr<ProcessGroup> processes;
  std::vector<RankImage> other_ranks;  // where the model is shared
  std::optional<Tokenizer> tokenizer;  // absent where the folder has none
  std::filesystem::path source;

  const Tokenizer& required_tokenizer() const;  // Error(kBadFile) where there is none
  std::vector<RankImage> ranks() const;         // all of this process, in order
  int64_t weight_bytes() const;                 // of all of these
};

LoadedModel load_model(const ModelOptions& options, ThreadPool& pool, Progress& progress);

// A checkpoint that is open already, or that exists in memory alone. Its weights are read here:
// those of all ranks, or of the one that is this process's among `processes`.
LoadedModel build_in_memory(const ModelDir& model, const BuildConfig& asked, ThreadPool& pool,
                            Progress& progress,
                            const std::shared_ptr<ProcessGroup>& processes = nullptr);

// Of the option --load_format.
LoadFormat load_format_of(const std::string& name);

// The checkpoint of ModelOptions with dummy weights where asked for.
ModelDir open_model(const ModelOptions& options);

// The options with the device resolved.
ModelOptions with_device(ModelOptions options);

// --max_batch_size and --max_num_tokens given beside --engine_dir limit the run.
RuntimeOptions with_engine_limits(RuntimeOptions runtime, const ModelOptions& model);

RunnerOptions runner_options(const EngineConfig& config, const RuntimeOptions& options);
// The same for the ranks of a loaded model, with the processes of the others.
RunnerOptions runner_options(const LoadedModel& model, const RuntimeOptions& options);

}  // namespace octavo
