// Models with one quantized layer, one after the other.
// SPDX-License-Identifier: Apache-2.0
#include "api/layer_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "api/scoring_model.h"
#include "evaluate/compare.h"
#include "quant/layer_choice.h"

namespace octavo {
namespace {

constexpr int64_t kMostWindows = 4;
constexpr int64_t kLogitBytes = int64_t{256} << 20;

}  // namespace

LayerProbe::LayerProbe(Runner& reference, std::span<const std::span<const int32_t>> windows) {
  int64_t bytes = 0;
  for (const std::span<const int32_t> window : windows) {
    const bool full = bytes + bytes / std::max<int64_t>(std::ssize(sequences_), 1) > kLogitBytes;
    if (std::ssize(sequences_) == kMostWindows || full) break;
    const auto ids = window.first(window.size() - 1);
    Sequence sequence{.ids = {ids.begin(), ids.end()}, .logits = {}};
    reference.visit_logits(ids, [&](int64_t, std::span<const float> logits) {
      sequence.logits.emplace_back(logits.begin(), logits.end());
      bytes += std::ssize(logits) * int64_t{sizeof(float)};
    });
    sequences_.push_back(std::move(sequence));
  }
}

double LayerProbe::mean_kl(Runner& model) const {
  double sum = 0.0;
  int64_t tokens = 0;
  for (const Sequence& sequence : sequences_) {
    model.visit_logits(sequence.ids, [&](int64_t position, std::span<const float> logits) {
      sum += kl_divergence(sequence.logits[static_cast<size_t>(position)], logits);
      ++tokens;
    });
  }
  return std::isfinite(sum) ? sum / static_cast<double>(tokens)
                            : std::numeric_limits<double>::infinity();
}

std::vector<std::pair<std::string, double>> layer_sensitivities(
    const ModelDir& original, const ModelDir& quantized, const LayerProbe& probe,
    const BuildConfig& config, ThreadPool& pool, Progress& progress) {
  std::vector<std::pair<std::string, double>> result;
  const std::vector<std::string> layers = quantized_layers(quantized);
  SilentProgress silent;
  for (const std::string& layer : layers) {
    const ModelDir mixed = with_layers_of(original, quantized, {layer});
    ScoringModel model(build_in_memory(mixed, config, pool, silent), probe.context());
    result.emplace_back(layer, probe.mean_kl(model.runner()));
    progress.update(std::ssize(result), std::ssize(layers), "layers by themselves");
  }
  progress.finish();
  return result;
}

}  // namespace octavo
