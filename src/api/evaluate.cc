// eval perplexity and eval compare.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/evaluate.h"

#include <algorithm>
#include <chrono>

#include "api/model_source.h"
#include "api/registry.h"
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

// A model that scores windows of `context` tokens, one sequence at a time; 0: of any length that it
// takes.
struct Scorer {
  Scorer(ModelOptions options, int64_t context, Progress& progress) : pool(options.threads) {
    options.build_config.max_batch_size = 1;
    loaded = load_model(options, pool, progress);
    if (context == 0) context = loaded.image->config.max_seq_len;
    RuntimeOptions runtime;
    runtime.kv_cache_config.max_tokens = context + loaded.image->config.tokens_per_block;
    runtime.max_batch_size = 1;
    if (context > loaded.image->config.max_seq_len) {
      throw Error(ErrorCategory::kUsage,
                  fmt::format("--context {}: the model takes at most {} tokens", context,
                              loaded.image->config.max_seq_len));
    }
    runner = std::make_unique<Runner>(loaded.ranks(), kernel_registry(),
                                      runner_options(loaded.image->config, runtime));
  }

  std::vector<int32_t> stream(const EvalOptions& options) const {
    const Documents documents =
        read_documents(options.dataset, {.skip_bad_lines = options.skip_bad_lines});
    const Tokenizer& tokenizer = loaded.required_tokenizer();
    const std::vector<int32_t>& eos = loaded.image->config.eos_token_ids;
    return token_stream(tokenizer, documents.texts,
                        tokenizer.eos_id().value_or(eos.empty() ? -1 : eos.front()));
  }

  ThreadPool pool;
  LoadedModel loaded;
  std::unique_ptr<Runner> runner;
};

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
  const std::vector<int32_t> stream = scorer.stream(options);
  const Perplexity result = measure_perplexity(
      *scorer.runner, stream,
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
  const auto start = std::chrono::steady_clock::now();
  Scorer a(reference, options.context, progress);
  Scorer b(engine, options.context, progress);
  const std::vector<int32_t> stream = a.stream(options);
  if (b.stream(options) != stream) {
    throw Error(ErrorCategory::kUnsupported, "the two models tokenize the text differently");
  }
  CompareReport report = summarize(
      compare_models(*a.runner, *b.runner, stream,
                     {.context = options.context,
                      .max_tokens = options.max_tokens,
                      .progress = [&](int64_t done,
                                      int64_t total) { progress.update(done, total, "windows"); }}),
      budget);
  progress.finish();
  report.seconds = seconds_since(start);
  return report;
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
  std::vector<bool> right =
      answer_questions(*scorer.runner, scorer.loaded.required_tokenizer(), asked.questions,
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
