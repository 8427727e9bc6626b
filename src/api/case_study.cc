// case_study: a session for every step; latency, then throughput; rows kept as they are finished.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/case_study.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "api/bench_run.h"
#include "core/log.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "measure/report.h"
#include "measure/step_bytes.h"
#include "measure/synthetic.h"
#include "tune/case_study.h"

namespace octavo {
namespace {

// What the published study found best for its throughput, and what fits here: the same for every
// step, so that steps differ in their flags alone.
const Settings kCommonSettings = {{"max_batch_size", "512"}, {"max_num_tokens", "8192"}};

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm day = {};
  gmtime_r(&now, &day);
  return fmt::format("{:04}-{:02}-{:02}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

double floor_ms(Session& session, const CaseStudyOptions& options) {
  const DeviceProperties& device = session.model().device->properties();
  if (device.bytes_per_s <= 0) return 0;
  double bytes = 0;
  for (const RankImage& rank : session.model().ranks())
    bytes += static_cast<double>(weight_bytes_per_step(rank.image->plans.front().program));
  const auto context = static_cast<double>(options.input_tokens + options.output_tokens / 2);
  bytes += static_cast<double>(session.config().kv_bytes_per_token()) * context;
  return 1e3 * bytes / (device.bytes_per_s * static_cast<double>(session.config().tp_size));
}

class CaseStudy {
 public:
  CaseStudy(const CaseStudyOptions& options, Progress& progress)
      : options_(options), progress_(progress), start_(std::chrono::steady_clock::now()) {
    std::filesystem::create_directories(options.output_dir);
    read_finished();
  }

  // Those that are there at the end, in the order of the steps.
  std::vector<CaseStudyRow> run() {
    for (const CaseStudyStep& step : case_study_steps()) {
      if (!is_asked_for(step) || finished_.contains(step.name)) continue;
      if (options_.time_budget_s > 0 && elapsed_s() > options_.time_budget_s) {
        log_info("{}: left for the next run: the time budget is spent", step.name);
        continue;
      }
      finished_[step.name] = measure(step);
      log_row(finished_[step.name]);
      write();
    }
    write();
    return rows();
  }

 private:
  std::filesystem::path json_file() const { return options_.output_dir / "case-study.json"; }

  double elapsed_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  bool is_asked_for(const CaseStudyStep& step) const {
    return options_.steps.empty() || std::ranges::count(options_.steps, step.name) > 0;
  }

  // Rows that were refused may run by now: a plugin, a device.
  void read_finished() {
    if (!std::filesystem::exists(json_file())) return;
    const nlohmann::json json = read_json_file(json_file());
    if (!json.is_array()) throw bad_file(json_file().string(), "", "expected a list of rows");
    for (const nlohmann::json& entry : json) {
      CaseStudyRow row = case_study_row_from(entry, json_file().string());
      if (row.refused.empty()) finished_[row.step] = std::move(row);
    }
    if (!finished_.empty()) log_info("{} finished rows are kept", finished_.size());
  }

  std::vector<CaseStudyRow> rows() const {
    std::vector<CaseStudyRow> rows;
    for (const CaseStudyStep& step : case_study_steps()) {
      const auto row = finished_.find(step.name);
      if (row != finished_.end()) rows.push_back(row->second);
    }
    return rows;
  }

  void write() const {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const CaseStudyRow& row : rows()) json.push_back(to_json(row));
    write_json_file(json_file(), json);
    write_file_atomically(options_.output_dir / "case-study.md", case_study_markdown(rows()));
    write_file_atomically(options_.output_dir / "case-study.html", case_study_html(rows()));
  }

  static void log_row(const CaseStudyRow& row) {
    const FourMetrics& m = row.measured;
    log_info("{}: {}", row.step,
             row.refused.empty() ? fmt::format("{:.1f} tokens/s, TTFT {:.2f} ms, ITL {:.3f} ms",
                                               m.token_throughput, m.ttft_ms, m.itl_ms)
                                 : row.refused);
  }

  ModelOptions model_of(const CaseStudyStep& step, const Settings& settings) const {
    ModelOptions model = options_.model;
    if (model.load_format == "dummy") {
      model.qformat = step.qformat;
    } else if (step.qformat == "fp8") {
      model.model_dir = options_.quantized_dir;
    }
    RuntimeOptions runtime;
    apply_settings(settings, model, runtime);
    if (!model.build_config.max_seq_len)
      model.build_config.max_seq_len = options_.input_tokens + options_.output_tokens;
    return model;
  }

  CaseStudyRow measure(const CaseStudyStep& step) {
    Settings settings = kCommonSettings;
    for (const auto& [flag, value] : step.settings) settings[flag] = value;
    CaseStudyRow row{.step = step.name,
                     .command_line = command_line(settings),
                     .protocol = step.full ? "full" : "steady",
                     .date = today()};
    const BuildConfig& build = options_.model.build_config;
    if (step.several_ranks && build.tp_size * build.pp_size == 1) {
      row.refused = "one rank has nothing to reduce: --tp_size 2 or more";
      return row;
    }
    try {
      measure(step, model_of(step, settings), row);
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kUnsupported &&
          error.category() != ErrorCategory::kUsage &&
          error.category() != ErrorCategory::kOutOfMemory)
        throw;
      row.refused = error.what();
    }
    return row;
  }

  void measure(const CaseStudyStep& step, const ModelOptions& model, CaseStudyRow& row) {
    SilentProgress silent;
    Session session(model, options_.runtime, silent);
    row.device = session.model().device->properties().name;
    row.itl_floor_ms = floor_ms(session, options_);
    const Performance alone = performance(session, {.latency = true}, options_.latency_requests);
    if (alone.ttft_ms) row.measured.ttft_ms = alone.ttft_ms->average;
    if (alone.itl_ms) row.measured.itl_ms = alone.itl_ms->average;
    const Performance together = performance(
        session, {.protocol = row.protocol, .window_s = options_.window_s}, options_.num_requests);
    row.measured.token_throughput = together.token_throughput;
    row.measured.request_throughput =
        step.full ? together.request_throughput
                  : together.token_throughput / static_cast<double>(options_.output_tokens);
  }

  Performance performance(Session& session, const BenchOptions& how, int64_t requests) {
    const Dataset dataset{
        .requests = synthetic_requests(
            {.num_requests = requests,
             .input = NormalLengths{static_cast<double>(options_.input_tokens), 0},
             .output = NormalLengths{static_cast<double>(options_.output_tokens), 0},
             .vocab_size = static_cast<int32_t>(session.config().vocab_size),
             .seed = how.latency ? 1u : 2u}),
        .format = "jsonl"};
    const LoadOptions load = load_options(how, session.runner().max_batch_size());
    return summarize(run_requests(how, load, session, dataset, progress_).samples);
  }

  const CaseStudyOptions& options_;
  Progress& progress_;
  std::chrono::steady_clock::time_point start_;
  std::map<std::string, CaseStudyRow> finished_;
};

void check(const CaseStudyOptions& options) {
  const auto refuse = [](std::string message) { throw Error(ErrorCategory::kUsage, message); };
  if (options.model.model_dir.empty()) refuse("case-study: expected --model_dir, the 16-bit model");
  if (!options.model.engine_dir.empty())
    refuse("case-study: builds an engine for every step: give --model_dir, not --engine_dir");
  if (options.output_dir.empty()) refuse("case-study: expected --output_dir");
  if (options.model.load_format != "dummy" && options.quantized_dir.empty())
    refuse(
        "case-study: expected --quantized_dir, what `octavo quantize --kv_cache_dtype fp8` made "
        "of the model, or --load_format dummy");
  for (const std::string& name : options.steps) {
    std::string known;
    for (const CaseStudyStep& step : case_study_steps()) known += " " + step.name;
    if ((known + " ").find(" " + name + " ") == std::string::npos)
      refuse(fmt::format("--steps: expected some of{}, got \"{}\"", known, printable(name)));
  }
}

}  // namespace

std::string run_case_study(const CaseStudyOptions& options, Progress& progress) {
  check(options);
  return case_study_markdown(CaseStudy(options, progress).run());
}

}  // namespace octavo
