// octavo bench dataset | throughput | latency | compare.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/bench.h"

#include <fmt/format.h>

#include "commands.h"
#include "options.h"

namespace octavo::app {
namespace {

Command add_distribution(CLI::App& dataset, const char* name, const char* help,
                         std::shared_ptr<DatasetSpec> spec) {
  CLI::App& app = *dataset.add_subcommand(name, help);
  add_int(app, "num_requests", spec->num_requests, {1}, "requests to write")->required();
  const auto length = [&](const char* option, double& value, const char* text) {
    return add_float(app, option, value, {0.0, 1e9}, text);
  };
  if (std::string(name) == "token-norm-dist") {
    length("input_mean", spec->input_mean, "mean of the input tokens")->required();
    length("input_stdev", spec->input_stdev, "standard deviation of the input tokens");
    length("output_mean", spec->output_mean, "mean of the output tokens")->required();
    length("output_stdev", spec->output_stdev, "standard deviation of the output tokens");
  } else {
    add_int(app, "input_min", spec->input_min, {1}, "fewest input tokens")->required();
    add_int(app, "input_max", spec->input_max, {1}, "most input tokens")->required();
    add_int(app, "output_min", spec->output_min, {1}, "fewest output tokens")->required();
    add_int(app, "output_max", spec->output_max, {1}, "most output tokens")->required();
  }
  add_path(app, "tokenizer", spec->tokenizer,
           "model folder; the vocab_size of its config.json bounds the random ids")
      ->required();
  add_path(app, "output", spec->output, "JSON lines to write")->required();
  add_seed(app, spec->random_seed, "random_seed");
  return {&app, [spec, distribution = std::string(name)] {
            spec->distribution = distribution;
            write_bench_dataset(*spec);
            fmt::print("{}: {} requests\n", spec->output.string(), spec->num_requests);
            return 0;
          }};
}

Command add_run(CLI::App& bench, const char* name, const char* help, bool latency) {
  CLI::App& app = *bench.add_subcommand(name, help);
  auto options = std::make_shared<BenchOptions>();
  options->latency = latency;
  options->runtime.kv_cache_config.enable_block_reuse = false;
  add_path(app, "dataset", options->dataset, "JSON lines of `bench dataset`, or a ShareGPT file")
      ->required();
  add_int(app, "num_requests", options->num_requests, {0},
          "requests to run; 0: all; more than the file holds starts again");
  add_int(app, "warmup", options->warmup, {0},
          "requests before the measured ones, with ids of their own");
  if (!latency) {
    add_int(app, "concurrency", options->concurrency, {0},
            "most requests in flight; 0: all at once");
    add_float(app, "request_rate", options->request_rate, {0.0, 1e9},
              "arrivals a second (Poisson); 0: no waiting");
    add_choice(app, "protocol", options->protocol, "full|steady",
               "full: all requests; steady: a full batch of mixed ages, counted within a window");
    add_float(app, "window", options->window_s, {0.01, 1e6}, "seconds of the steady window");
  }
  add_flag(app, "enable_block_reuse", options->runtime.kv_cache_config.enable_block_reuse,
           "share the KV blocks of equal prefixes");
  add_path(app, "report_json", options->report_json, "write the report to this file");
  add_path(app, "request_json", options->request_json,
           "write the times of every request to this file");
  add_seed(app, options->seed);
  add_model_options(app, options->model);
  add_runtime_options(app, options->runtime);
  app.footer(
      fmt::format("Example:\n  octavo bench {} --engine_dir engine --dataset requests.jsonl "
                  "--report_json report.json",
                  name));
  return {&app, [options] {
            fmt::print("{}", run_bench(*options, *progress_of(options->model)));
            return 0;
          }};
}

Command add_compare(CLI::App& bench) {
  struct Files {
    std::filesystem::path before, after;
  };
  CLI::App& app = *bench.add_subcommand("compare", "Two reports side by side, and what is noise");
  auto files = std::make_shared<Files>();
  app.add_option("before", files->before, "a file of --report_json")->required();
  app.add_option("after", files->after, "another one")->required();
  app.footer("Example:\n  octavo bench compare before.json after.json");
  return {&app, [files] {
            fmt::print("{}", compare_bench_reports(files->before, files->after));
            return 0;
          }};
}

}  // namespace

std::vector<Command> add_bench(CLI::App& program) {
  CLI::App& bench = *program.add_subcommand("bench", "Measure throughput and latency");
  bench.require_subcommand(1);
  CLI::App& dataset = *bench.add_subcommand("dataset", "Write a request set");
  dataset.require_subcommand(1);
  auto spec = std::make_shared<DatasetSpec>();
  return {add_distribution(dataset, "token-norm-dist", "Lengths from a normal distribution", spec),
          add_distribution(dataset, "token-unif-dist", "Lengths from a uniform distribution", spec),
          add_run(bench, "throughput",
                  "All requests at once, at a rate, or with a fixed number in flight", false),
          add_run(bench, "latency", "One request at a time", true), add_compare(bench)};
}

}  // namespace octavo::app
