// eval: what quantization costs in quality.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "octavo/llm.h"

namespace octavo {

struct EvalOptions {
  std::filesystem::path dataset;  // JSON lines with `text`, or plain text
  int64_t context = 1024;         // tokens
  int64_t max_tokens = 0;         // of the stream; 0: all
  int64_t skip_bad_lines = 0;
};

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

struct PerplexityReport {
  double perplexity = 0.0;
  int64_t tokens = 0;  // predicted
  int64_t windows = 0;
  int64_t context = 0;
  Interval interval;  // 95 %, bootstrap over runs of windows
  double seconds = 0.0;
};

PerplexityReport evaluate_perplexity(const ModelOptions& model, const EvalOptions& options,
                                     Progress& progress);

// Budgets; absent ones are not judged. max_ppl_increase is a fraction: 0.01 is 1 %.
struct CompareBudget {
  std::optional<double> max_ppl_increase;
  std::optional<double> max_kl;
};

struct CompareReport {
  double reference_perplexity = 0.0;
  double engine_perplexity = 0.0;
  double ppl_increase = 0.0;  // fraction
  Interval ppl_increase_interval;
  double mean_kl = 0.0;  // nats, KL(reference ‖ engine)
  Interval mean_kl_interval;
  double top1_agreement = 0.0;
  Interval top1_agreement_interval;
  int64_t tokens = 0;
  int64_t windows = 0;
  double seconds = 0.0;
  std::vector<std::string> failures;  // budgets that are exceeded
};

// Both models see the same windows; intervals are 95 %, paired bootstrap over runs of windows.
CompareReport evaluate_compare(const ModelOptions& reference, const ModelOptions& engine,
                               const EvalOptions& options, const CompareBudget& budget,
                               Progress& progress);

// Which layers pay: mean KL in nats of the reference with this layer of the quantized checkpoint
// in place of its own, on the first windows, largest first. The KV cache is left out.
// Error(kUnsupported) unless the first is a 16-bit checkpoint and the second a quantized one.
std::vector<std::pair<std::string, double>> evaluate_layer_sensitivity(
    const ModelOptions& reference, const ModelOptions& quantized, const EvalOptions& options,
    Progress& progress);

struct ChoiceEvalOptions {
  std::filesystem::path dataset;  // CSV or JSON lines in MMLU's layout
  // Examples before every question; empty: the first questions of the data set, which are then not
  // asked.
  std::filesystem::path fewshot_dataset;
  int64_t num_fewshot = 5;
  int64_t max_questions = 0;                // 0: all
  std::optional<double> max_accuracy_drop;  // budget against the reference; a fraction
};

struct ChoiceReport {
  int64_t questions = 0;
  double accuracy = 0.0;
  Interval accuracy_interval;  // 95 %, Wilson
  // With a reference:
  std::optional<double> reference_accuracy;
  int64_t only_engine_right = 0;
  int64_t only_reference_right = 0;
  double p_value = 1.0;  // of equal accuracy: exact, paired
  double seconds = 0.0;
  std::vector<std::string> failures;  // budgets that are exceeded
};

// The likeliest letter after "Answer:" counts as the model's answer.
ChoiceReport evaluate_choice(const ModelOptions& engine,
                             const std::optional<ModelOptions>& reference,
                             const ChoiceEvalOptions& options, Progress& progress);

// Writes a report so that the old one or the new one is there, never a part.
void write_report(const std::filesystem::path& path, const std::string& text);

}  // namespace octavo
