// eval perplexity and eval compare.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/evaluate.h"

#include <algorithm>
#include <chrono>

#include "api/layer_sensitivity.h"
#include "api/scoring_model.h"
#include "evaluate/choice.h"
#include "evaluate/compare.h"
#include "evaluate/perplexity.h"
#include "io/atomic_file.h"
#include "text/documents.h"

namespace octavo {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

LoadedModel loaded_for_scoring(ModelOptions options, ThreadPool& pool, Progress& progress) {
  options.build_config.max_batch_size = 1;
  return load_model(options, pool, progress);
}

// A model and the threads that it runs on.
struct Scorer {
  Scorer(const ModelOptions& options, int64_t context, Progress& progress)
      : pool(options.threads), model(loaded_for_scoring(options, pool, progress), context) {}

  std::vector<int32_t> stream(const EvalOptions& options) const {
    return scored_stream(
        model.loaded().required_tokenizer(), model.loaded().image->config.eos_token_ids,
        read_documents(options.dataset, {.skip_bad_lines = options.skip_bad_lines}).texts);
  }

  ThreadPool pool;
  ScoringModel model;
};

void check_layers_can_be_mixed(const ModelOptions& reference, const ModelOptions& quantized) {
  const auto refuse = [](const char* what) {
    throw Error(ErrorCategory::kUnsupported, fmt::format("--layer_sensitivity: {}", what));
  };
  if (!reference.engine_dir.empty() || !quantized.engine_dir.empty())
    refuse("an engine's layers cannot be exchanged: give checkpoints as --reference, --model_dir");
  if (open_model(reference).quantization.quantized())
    refuse("--reference must be a 16-bit checkpoint");
  if (!open_model(quantized).quantization.quantizes_linears())
    refuse("--model_dir has no quantized layer");
}

void check(const EvalOptions& options) {
  if (options.context < 1) throw Error(ErrorCategory::kUsage, "--context: expected at least 1");
  if (options.max_tokens < 0)
    throw Error(ErrorCategory::kUsage, "--max_tokens: expected 0 or more");
}

}  // namespace

PerplexityReport evaluate_perplexity(const ModelOptions& model, const EvalOptions& options,
                                     Progress& progress) {
  check(options);
  const auto start = std::chrono::steady_clock::now();
  Scorer scorer(model, options.context, progress);
  if (scorer.model.runner().follows()) {
    scorer.model.runner().follow();
    return {};
  }
  const std::vector<int32_t> stream = scorer.stream(options);
  const Perplexity result = measure_perplexity(
      scorer.model.runner(), stream,
      {.context = options.context,
       .max_tokens = options.max_tokens,
       .progress = [&](int64_t done, int64_t total) { progress.update(done, total, "windows"); }});
  progress.finish();
  return {.perplexity = result.value(),
          .tokens = result.tokens,
          .windows = result.windows,
          .context = options.context,
          .interval = perplexity_interval(result),
          .seconds = seconds_since(start)};
}

CompareReport evaluate_compare(const ModelOptions& reference, const ModelOptions& engine,
                               const EvalOptions& options, const CompareBudget& budget,
                               Progress& progress) {
  check(options);
  expect_one_process("eval compare");
  const auto start = std::chrono::steady_clock::now();
  Scorer a(reference, options.context, progress);
  Scorer b(engine, options.context, progress);
  const std::vector<int32_t> stream = a.stream(options);
  if (b.stream(options) != stream) {
    throw Error(ErrorCategory::kUnsupported, "the two models tokenize the text differently");
  }
  CompareReport report = summarize(
      compare_models(a.model.runner(), b.model.runner(), stream,
                     {.context = options.context,
                      .max_tokens = options.max_tokens,
                      .progress = [&](int64_t done,
                                      int64_t total) { progress.update(done, total, "windows"); }}),
      budget);
  progress.finish();
  report.seconds = seconds_since(start);
  return report;
}

std::vector<std::pair<std::string, double>> evaluate_layer_sensitivity(
    const ModelOptions& reference, const ModelOptions& quantized, const EvalOptions& options,
    Progress& progress) {
  check(options);
  expect_one_process("eval compare");
  check_layers_can_be_mixed(reference, quantized);
  Scorer scorer(reference, options.context, progress);
  const std::vector<int32_t> stream = scorer.stream(options);
  const LayerProbe probe(scorer.model.runner(),
                         windows_of(stream, options.context, options.max_tokens));
  BuildConfig config = reference.build_config;
  config.max_batch_size = 1;
  auto layers = layer_sensitivities(open_model(reference), open_model(quantized), probe, config,
                                    scorer.pool, progress);
  std::ranges::stable_sort(layers, std::greater(), &std::pair<std::string, double>::second);
  return layers;
}

namespace {

struct AskedQuestions {
  std::vector<ChoiceQuestion> examples, questions;
};

AskedQuestions read_questions(const ChoiceEvalOptions& options) {
  AskedQuestions asked{.questions = read_choice_questions(options.dataset)};
  std::vector<ChoiceQuestion>& from = asked.questions;
  if (!options.fewshot_dataset.empty())
    asked.examples = read_choice_questions(options.fewshot_dataset);
  const auto count = static_cast<size_t>(options.num_fewshot);
  if (options.fewshot_dataset.empty()) {
    if (count >= from.size())
      throw Error(ErrorCategory::kUsage,
                  fmt::format("--num_fewshot {}: the data set has {} questions, and examples are "
                              "not asked",
                              count, from.size()));
    const auto end = from.begin() + static_cast<int64_t>(count);
    asked.examples.assign(from.begin(), end);
    from.erase(from.begin(), end);
  }
  asked.examples.resize(std::min(asked.examples.size(), count));
  if (options.max_questions > 0)
    from.resize(std::min(from.size(), static_cast<size_t>(options.max_questions)));
  return asked;
}

std::vector<bool> answers_of(const ModelOptions& model, const AskedQuestions& asked,
                             Progress& progress) {
  Scorer scorer(model, 0, progress);
  std::vector<bool> right = answer_questions(
      scorer.model.runner(), scorer.model.loaded().required_tokenizer(), asked.questions,
      {.examples = asked.examples, .progress = [&](int64_t done, int64_t total) {
         progress.update(done, total, "questions");
       }});
  progress.finish();
  return right;
}

}  // namespace

ChoiceReport evaluate_choice(const ModelOptions& engine,
                             const std::optional<ModelOptions>& reference,
                             const ChoiceEvalOptions& options, Progress& progress) {
  expect_one_process("eval choice");
  const auto start = std::chrono::steady_clock::now();
  const AskedQuestions asked = read_questions(options);
  const std::vector<bool> right = answers_of(engine, asked, progress);
  const auto share = [](const std::vector<bool>& hits) {
    return static_cast<double>(std::ranges::count(hits, true)) / static_cast<double>(hits.size());
  };
  ChoiceReport report{.questions = std::ssize(right), .accuracy = share(right)};
  report.accuracy_interval = proportion_interval(std::ranges::count(right, true), report.questions);
  if (reference) {
    const std::vector<bool> expected = answers_of(*reference, asked, progress);
    report.reference_accuracy = share(expected);
    for (size_t i = 0; i < right.size(); ++i) {
      report.only_engine_right += right[i] && !expected[i] ? 1 : 0;
      report.only_reference_right += expected[i] && !right[i] ? 1 : 0;
    }
    report.p_value = paired_p_value(report.only_engine_right, report.only_reference_right);
    const double drop = *report.reference_accuracy - report.accuracy;
    if (options.max_accuracy_drop && drop > *options.max_accuracy_drop)
      report.failures.push_back(fmt::format("accuracy drop {:.2f} % exceeds {:.2f} %", 100 * drop,
                                            100 * *options.max_accuracy_drop));
  }
  report.seconds = seconds_since(start);
  return report;
}

void write_report(const std::filesystem::path& path, const std::string& text) {
  write_file_atomically(path, text);
}

}  // namespace octavo
