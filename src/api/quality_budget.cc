// The search for the layers that stay in 16 bit.
// SPDX-License-Identifier: Apache-2.0
#include "api/quality_budget.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "api/layer_sensitivity.h"
#include "api/scoring_model.h"
#include "core/log.h"
#include "evaluate/compare.h"
#include "quant/layer_choice.h"
#include "text/documents.h"

namespace octavo {
namespace {

std::vector<std::string> held_out_texts(const QuantizeOptions& options) {
  const DocumentOptions read = {.skip_bad_lines = options.skip_bad_lines};
  std::error_code ignored;
  const bool same =
      options.quality_dataset.empty() ||
      std::filesystem::equivalent(options.quality_dataset, options.calib_dataset, ignored);
  if (!same) return read_documents(options.quality_dataset, read).texts;
  if (options.calib_dataset.empty() || options.calib_dataset == "cnn_dailymail")
    throw Error(ErrorCategory::kUsage,
                "--max_ppl_increase: needs held-out text: give --quality_dataset");
  std::vector<std::string> texts = read_documents(options.calib_dataset, read).texts;
  const int64_t calibrating = std::min(options.calib_size, std::ssize(texts));
  if (calibrating == std::ssize(texts))
    throw Error(
        ErrorCategory::kUsage,
        fmt::format("--max_ppl_increase: --calib_size {} leaves none of the {} documents of "
                    "--calib_dataset as held-out text: give --quality_dataset",
                    options.calib_size, texts.size()));
  texts.erase(texts.begin(), texts.begin() + calibrating);
  return texts;
}

// Models of one search, measured on the same windows.
class Trials {
 public:
  Trials(const QualityBudget& budget, ThreadPool& pool, Progress& progress)
      : budget_(budget), config_(budget.config), pool_(pool), progress_(progress) {
    windows_ = windows_of(budget.stream, budget.context, /*max_tokens=*/0);
    config_.max_batch_size = 1;
  }

  const BuildConfig& config() const { return config_; }
  int64_t measured() const { return measured_; }
  std::span<const std::span<const int32_t>> windows() const { return windows_; }

  // The device may have no kernels for a scheme that the CPU has.
  // Called where `reason` is handled.
  void fall_back_on_the_cpu(const Error& reason) {
    if (reason.category() != ErrorCategory::kUnsupported || config_.device == "cpu") throw;
    log_info("perplexity is measured on the CPU: {}", reason.what());
    config_.device = "cpu";
  }

  std::unique_ptr<ScoringModel> load(const ModelDir& model) const {
    SilentProgress silent;
    return std::make_unique<ScoringModel>(build_in_memory(model, config_, pool_, silent),
                                          budget_.context);
  }

  Perplexity measure(ScoringModel& model, const char* what) {
    const auto step = [&](int64_t done, int64_t total) { progress_.update(done, total, what); };
    Perplexity result = measure_perplexity(model.runner(), budget_.stream,
                                           {.context = budget_.context, .progress = step});
    progress_.finish();
    ++measured_;
    return result;
  }

  // Nothing where a logit is not finite.
  std::optional<Perplexity> measure_quantized(const ModelDir& model) {
    try {
      return measure(*load(model), "perplexity of the quantized model");
    } catch (const NonFiniteLogits& bad) {
      log_warning("the quantized model: {}", bad.what());
      progress_.finish();
      return std::nullopt;
    }
  }

 private:
  const QualityBudget& budget_;
  BuildConfig config_;
  ThreadPool& pool_;
  Progress& progress_;
  std::vector<std::span<const int32_t>> windows_;
  int64_t measured_ = 0;
};

class Search {
 public:
  Search(const ModelDir& original, const ModelDir& prepared, const QuantizationPlan& plan,
         const QualityBudget& budget, ThreadPool& pool, Progress& progress)
      : original_(original),
        prepared_(prepared),
        plan_(plan),
        budget_(budget),
        pool_(pool),
        progress_(progress),
        trials_(budget, pool, progress) {}

  BudgetedPlan run() {
    const ModelDir all = quantized_model(prepared_, plan_);
    bytes_of_all_ = all.weight_bytes;
    try {
      quantized_ = trials_.measure_quantized(all);
    } catch (const Error& error) {
      trials_.fall_back_on_the_cpu(error);
      quantized_ = trials_.measure_quantized(all);
    }
    const LayerProbe probe = measure_original();
    kept_ = quantized_;
    if (keeps(quantized_)) return result({});
    sensitivities_ = layer_sensitivities(original_, all, probe, trials_.config(), pool_, progress_);
    std::ranges::stable_sort(sensitivities_, std::greater(),
                             &std::pair<std::string, double>::second);
    const auto count = fewest(std::ssize(sensitivities_),
                              [&](int64_t left) { return holds_with(most_sensitive(left)); });
    if (!count) refuse();
    return result(most_sensitive(*count));
  }

 private:
  // The model itself, in 16 bit; it goes before the next one is loaded.
  LayerProbe measure_original() {
    const auto model = trials_.load(original_);
    reference_ = trials_.measure(*model, "perplexity of the 16-bit model");
    return LayerProbe(model->runner(), trials_.windows());
  }

  double increase_of(const Perplexity& perplexity) const {
    return std::expm1(perplexity.mean_nll - reference_.mean_nll);
  }
  bool keeps(const std::optional<Perplexity>& perplexity) const {
    return perplexity && increase_of(*perplexity) <= budget_.max_ppl_increase;
  }

  std::set<std::string> most_sensitive(int64_t count) const {
    std::set<std::string> layers;
    for (int64_t i = 0; i < count; ++i) layers.insert(sensitivities_[static_cast<size_t>(i)].first);
    return layers;
  }

  // Bisection ends with the count that it returns as the last one that held.
  bool holds_with(const std::set<std::string>& left) {
    const QuantizationPlan plan = without_layers(plan_, left);
    if (!plan.quantization.quantizes_linears() && !plan.quantization.kv_cache) return false;
    const ModelDir model = with_original_layers(original_, prepared_, left);
    const auto perplexity = trials_.measure_quantized(quantized_model(model, plan));
    if (!keeps(perplexity)) return false;
    kept_ = perplexity;
    return true;
  }

  [[noreturn]] void refuse() const {
    const std::string rise = quantized_
                                 ? fmt::format("rises by {:.3f} %", 100 * increase_of(*quantized_))
                                 : std::string("is not finite");
    throw Error(
        ErrorCategory::kGateFailed,
        fmt::format("--max_ppl_increase {:.3f} %: with all layers quantized the perplexity {}, and "
                    "no number of layers left in 16 bit keeps the budget{}; nothing was written",
                    100 * budget_.max_ppl_increase, rise,
                    plan_.quantization.kv_cache ? " beside the FP8 KV cache" : ""));
  }

  BudgetedPlan result(const std::set<std::string>& left) {
    BudgetedPlan found{.model = with_original_layers(original_, prepared_, left),
                       .plan = left.empty() ? plan_ : without_layers(plan_, left)};
    const uint64_t bytes = quantized_model(found.model, found.plan).weight_bytes;
    const CompareReport compared = summarize(paired_windows(), {});
    found.report = {.reference_perplexity = reference_.value(),
                    .all_quantized_perplexity =
                        quantized_ ? quantized_->value() : std::numeric_limits<double>::infinity(),
                    .perplexity = kept_->value(),
                    .ppl_increase = increase_of(*kept_),
                    .ppl_increase_interval = {compared.ppl_increase_interval.low,
                                              compared.ppl_increase_interval.high},
                    .tokens = kept_->tokens,
                    .context = budget_.context,
                    .models_measured = trials_.measured(),
                    .layer_kl = sensitivities_,
                    .layers_left = in_model_order(left),
                    .bytes_of_layers_left = bytes - bytes_of_all_};
    return found;
  }

  std::vector<std::string> in_model_order(const std::set<std::string>& left) const {
    std::vector<std::string> layers = quantized_layers(quantized_model(prepared_, plan_));
    std::erase_if(layers, [&](const std::string& layer) { return !left.contains(layer); });
    return layers;
  }

  std::vector<WindowComparison> paired_windows() const {
    std::vector<WindowComparison> windows;
    for (size_t i = 0; i < kept_->window_nll.size(); ++i)
      windows.push_back({.reference_nll = reference_.window_nll[i],
                         .engine_nll = kept_->window_nll[i],
                         .tokens = budget_.context});
    return windows;
  }

  const ModelDir& original_;
  const ModelDir& prepared_;
  const QuantizationPlan& plan_;
  const QualityBudget& budget_;
  ThreadPool& pool_;
  Progress& progress_;
  Trials trials_;
  Perplexity reference_;
  std::optional<Perplexity> quantized_, kept_;  // all layers quantized; the last that held
  uint64_t bytes_of_all_ = 0;
  std::vector<std::pair<std::string, double>> sensitivities_;  // largest first
};

}  // namespace

std::optional<int64_t> fewest(int64_t most, const std::function<bool(int64_t)>& holds) {
  int64_t fails = 0, held = most + 1;
  while (held - fails > 1) {
    const int64_t middle = fails + (held - fails) / 2;
    (holds(middle) ? held : fails) = middle;
  }
  return held > most ? std::nullopt : std::optional(held);
}

std::vector<int32_t> quality_stream(const QuantizeOptions& options, const ModelDir& model) {
  if (options.quality_context > model.config.max_position)
    throw Error(ErrorCategory::kUsage,
                fmt::format("--quality_context {}: the model takes at most {} tokens",
                            options.quality_context, model.config.max_position));
  const std::vector<std::string> texts = held_out_texts(options);
  std::vector<int32_t> stream =
      scored_stream(Tokenizer::load(options.model_dir), model.config.eos_token_ids, texts);
  if (std::ssize(stream) > options.quality_tokens)
    stream.resize(static_cast<size_t>(options.quality_tokens));
  windows_of(stream, options.quality_context, /*max_tokens=*/0);
  return stream;
}

BudgetedPlan keep_quality(const ModelDir& original, const ModelDir& prepared,
                          const QuantizationPlan& plan, const QualityBudget& budget,
                          ThreadPool& pool, Progress& progress) {
  return Search(original, prepared, plan, budget, pool, progress).run();
}

}  // namespace octavo
