// Which layers pay: how the predictions change with one layer quantized alone.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/thread_pool.h"
#include "model/model_dir.h"
#include "octavo/config.h"
#include "octavo/progress.h"
#include "runtime/runner.h"

namespace octavo {

// Sequences, and what the 16-bit model predicts after each of their tokens.
class LayerProbe {
 public:
  // The first of `windows`: at most four, and as few as keep the logits within 256 MiB.
  LayerProbe(Runner& reference, std::span<const std::span<const int32_t>> windows);

  // Mean KL(reference ‖ model) in nats; infinite where a logit is not finite.
  double mean_kl(Runner& model) const;
  int64_t context() const { return std::ssize(sequences_.front().ids); }

 private:
  struct Sequence {
    std::vector<int32_t> ids;
    std::vector<std::vector<float>> logits;
  };
  std::vector<Sequence> sequences_;
};

// By layer, in the model's order: mean KL of `original` with this layer of `quantized`. One model
// is in memory at a time.
std::vector<std::pair<std::string, double>> layer_sensitivities(
    const ModelDir& original, const ModelDir& quantized, const LayerProbe& probe,
    const BuildConfig& config, ThreadPool& pool, Progress& progress);

}  // namespace octavo
