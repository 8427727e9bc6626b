// tune: trials over sessions, a quality gate, results that survive an interruption.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/tune.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/bench_run.h"
#include "api/registry.h"
#include "core/log.h"
#include "evaluate/perplexity.h"
#include "io/atomic_file.h"
#include "measure/report.h"
#include "octavo/evaluate.h"
#include "tune/search.h"
#include "tune/tune_report.h"

namespace octavo {
namespace {

constexpr int64_t kLeastRequests = 4;  // of a trial

class Tuning {
 public:
  Tuning(const TuneOptions& options, Progress& progress)
      : options_(options), progress_(progress), grid_(read_grid(options.grid)) {
    std::filesystem::create_directories(options.output_dir);
    read_finished();
    requests_ = options.num_requests > 0 ? options.num_requests : dataset_size();
  }

  TuneSummary run() {
    const TrialRunner trial = [this](size_t candidate, int64_t requests, int64_t turn) {
      return run_trial(candidate, requests, turn);
    };
    const std::vector<Trial> trials =
        options_.search == "grid" ? search_grid(grid_.size(), requests_, trial)
                                  : search_halving(grid_.size(), requests_, kLeastRequests, trial);
    TuneSummary summary{.objective = options_.objective,
                        .requests = requests_,
                        .full_trials = full_trials(trials, requests_),
                        .base_command = base_command()};
    const std::optional<size_t> best = best_candidate(trials, requests_);
    for (const Trial& done : trials) {
      if (done.candidate == best && done.requests == requests_)
        summary.best = summary.records.size();
      summary.records.push_back(records_.at(key(grid_[done.candidate], done.requests, done.turn)));
    }
    return summary;
  }

 private:
  static std::string key(const Settings& settings, int64_t requests, int64_t turn) {
    return fmt::format("{} {} {}", requests, turn, command_line(settings));
  }

  std::filesystem::path trials_file() const { return options_.output_dir / "trials.jsonl"; }

  std::string base_command() const {
    std::string text = "octavo bench throughput --model_dir " + options_.model.model_dir.string();
    if (options_.model.load_format != "auto")
      text += " --load_format " + options_.model.load_format;
    if (options_.model.qformat != "auto") text += " --qformat " + options_.model.qformat;
    return text + " --dataset " + options_.dataset.string();
  }

  // A line that an interruption cut short is left out; its trial runs again.
  void read_finished() {
    std::ifstream stream(trials_file());
    for (std::string line; std::getline(stream, line);) {
      const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (json.is_discarded()) continue;
      TrialRecord record = trial_from_json(json, trials_file().string());
      std::string name = key(record.settings, record.requests, record.turn);
      records_[std::move(name)] = std::move(record);
    }
    if (!records_.empty()) log_info("{} finished trials are kept", records_.size());
  }

  void keep(const TrialRecord& record) {
    std::ofstream stream(trials_file(), std::ios::app);
    stream << to_json(record).dump() << "\n";
    stream.flush();
    if (!stream)
      throw Error(ErrorCategory::kEnvironment, trials_file().string(), "", "cannot be written");
  }

  int64_t dataset_size() {
    const Dataset dataset = read_dataset(options_.dataset, {.vocab_size = 1 << 24});
    return std::ssize(dataset.requests);
  }

  std::optional<double> run_trial(size_t candidate, int64_t requests, int64_t turn) {
    const Settings& settings = grid_[candidate];
    auto found = records_.find(key(settings, requests, turn));
    if (found == records_.end()) {
      TrialRecord record = measure(settings, requests);
      record.turn = turn;
      keep(record);
      log_info("trial {}: {} requests, {}: {}", records_.size() + 1, requests,
               command_line(settings),
               record.refused.empty()
                   ? fmt::format("{:.1f} tokens/s, TTFT {:.1f} ms, ITL {:.3f} ms",
                                 record.token_throughput, record.ttft_ms, record.itl_ms)
                   : record.refused);
      found = records_.emplace(key(settings, requests, turn), std::move(record)).first;
    }
    const TrialRecord& record = found->second;
    if (!record.refused.empty()) return std::nullopt;
    return score_of(record, options_.objective);
  }

  // Combinations that the builder refuses are no candidates; other errors end the search.
  TrialRecord measure(const Settings& settings, int64_t requests) {
    TrialRecord record{.settings = settings, .requests = requests};
    BenchOptions bench{.model = options_.model,
                       .runtime = options_.runtime,
                       .dataset = options_.dataset,
                       .num_requests = requests};
    apply_settings(settings, bench.model, bench.runtime);
    bench.runtime.kv_cache_config.enable_block_reuse = false;
    try {
      record.ppl_increase = ppl_increase(bench.model);
      if (record.ppl_increase && *record.ppl_increase > *options_.max_ppl_increase) {
        record.refused = fmt::format("perplexity increase {:.2f} % exceeds {:.2f} %",
                                     100 * *record.ppl_increase, 100 * *options_.max_ppl_increase);
        return record;
      }
      run_bench_trial(bench, record);
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kUnsupported &&
          error.category() != ErrorCategory::kUsage &&
          error.category() != ErrorCategory::kOutOfMemory)
        throw;
      record.refused = error.what();
    }
    return record;
  }

  void run_bench_trial(const BenchOptions& bench, TrialRecord& record) {
    SilentProgress silent;
    Session session(bench.model, bench.runtime, silent);
    const Dataset dataset = load_dataset(bench, session.model());
    const LoadOptions load = load_options(bench, session.runner().max_batch_size());
    const Performance performance =
        summarize(run_requests(bench, load, session, dataset, progress_).samples);
    record.token_throughput = performance.token_throughput;
    if (performance.ttft_ms) record.ttft_ms = performance.ttft_ms->average;
    if (performance.itl_ms) record.itl_ms = performance.itl_ms->average;
  }

  // Nothing where no quality was asked for. Options that change no number share one result.
  std::optional<double> ppl_increase(const ModelOptions& model) {
    if (!options_.max_ppl_increase) return std::nullopt;
    const BuildConfig& build = model.build_config;
    const std::string numerics =
        fmt::format("{} {} {} {}", build.dtype, build.kv_cache_dtype, build.tp_size,
                    build.plugin_config.use_fp8_context_fmha);
    const auto [it, is_new] = perplexities_.try_emplace(numerics, 0.0);
    if (is_new) it->second = perplexity_of(model);
    if (!reference_) {
      ModelOptions reference = options_.model;
      if (!options_.reference.empty()) {
        reference.model_dir = options_.reference;
      } else {
        reference.build_config.kv_cache_dtype = "bfloat16";
      }
      reference_ = perplexity_of(reference);
    }
    return it->second / *reference_ - 1.0;
  }

  double perplexity_of(const ModelOptions& model) {
    SilentProgress silent;
    return evaluate_perplexity(model,
                               {.dataset = options_.quality_dataset,
                                .context = options_.quality_context,
                                .max_tokens = options_.quality_tokens},
                               silent)
        .perplexity;
  }

  const TuneOptions& options_;
  Progress& progress_;
  std::vector<Settings> grid_;
  int64_t requests_ = 0;
  std::map<std::string, TrialRecord> records_;  // by key()
  std::map<std::string, double> perplexities_;
  std::optional<double> reference_;
};

void check(const TuneOptions& options) {
  const auto refuse = [](std::string message) { throw Error(ErrorCategory::kUsage, message); };
  if (options.model.model_dir.empty()) refuse("tune: expected --model_dir");
  if (!options.model.engine_dir.empty())
    refuse("tune: builds an engine for every trial: give --model_dir, not --engine_dir");
  if (options.objective != "throughput" && options.objective != "itl" &&
      options.objective != "ttft")
    refuse(fmt::format("--objective: expected throughput|itl|ttft, got \"{}\"",
                       printable(options.objective)));
  if (options.search != "halving" && options.search != "grid")
    refuse(fmt::format("--search: expected halving|grid, got \"{}\"", printable(options.search)));
  if (options.max_ppl_increase && options.quality_dataset.empty())
    refuse("--max_ppl_increase: needs --quality_dataset");
  if (options.output_dir.empty()) refuse("tune: expected --output_dir");
}

}  // namespace

std::string run_tune(const TuneOptions& options, Progress& progress) {
  check(options);
  const TuneSummary summary = Tuning(options, progress).run();
  write_json_file(options.output_dir / "tune.json", to_json(summary));
  write_file_atomically(options.output_dir / "tune.html", to_html(summary));
  if (!summary.best) {
    throw Error(ErrorCategory::kGateFailed,
                "tune: no candidate ran and kept the budget:\n" + to_text(summary));
  }
  return to_text(summary);
}

}  // namespace octavo
