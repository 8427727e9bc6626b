// eval perplexity and eval compare.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/evaluate.h"

#include <chrono>

#include "api/model_source.h"
#include "api/registry.h"
#include "evaluate/compare.h"
#include "evaluate/perplexity.h"
#include "io/atomic_file.h"
#include "text/documents.h"

namespace octavo {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A model that scores windows of `context` tokens, one sequence at a time.
struct Scorer {
  Scorer(ModelOptions options, int64_t context, Progress& progress) : pool(options.threads) {
    options.build_config.max_batch_size = 1;
    loaded = load_model(options, pool, progress);
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

void write_report(const std::filesystem::path& path, const std::string& text) {
  write_file_atomically(path, text);
}

}  // namespace octavo
