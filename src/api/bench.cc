// bench: request sets, throughput and latency.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/bench.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/bench_run.h"
#include "io/json.h"
#include "io/json_object.h"
#include "measure/compare_reports.h"
#include "measure/dataset.h"
#include "measure/device_info.h"
#include "measure/load.h"
#include "measure/read_bandwidth.h"
#include "measure/report.h"
#include "measure/step_bytes.h"
#include "measure/synthetic.h"

namespace octavo {
namespace {

int32_t vocab_size_of(const std::filesystem::path& folder) {
  if (folder.empty())
    throw Error(ErrorCategory::kUsage, "--tokenizer: expected a folder with config.json");
  const std::string file = (folder / "config.json").string();
  const nlohmann::json json = read_json_file(file);
  return static_cast<int32_t>(JsonObject(json, file).required_int("vocab_size", {2, 1 << 24}));
}

SyntheticOptions synthetic_options(const DatasetSpec& spec) {
  SyntheticOptions options{.num_requests = spec.num_requests,
                           .vocab_size = vocab_size_of(spec.tokenizer),
                           .seed = spec.random_seed};
  if (spec.distribution == "token-norm-dist") {
    options.input = NormalLengths{spec.input_mean, spec.input_stdev};
    options.output = NormalLengths{spec.output_mean, spec.output_stdev};
  } else {
    options.input = UniformLengths{spec.input_min, spec.input_max};
    options.output = UniformLengths{spec.output_min, spec.output_max};
  }
  return options;
}

nlohmann::ordered_json engine_json(const BenchOptions& options, const Session& session) {
  const EngineConfig& config = session.config();
  return {{"source", printable(session.model().source.filename().string())},
          {"load_format", options.model.load_format},
          {"model_type", config.model_type},
          {"dtype", config.dtype},
          {"quantization", config.quantization},
          {"kv_cache_dtype", config.kv_cache_dtype},
          {"max_seq_len", config.max_seq_len},
          {"tokens_per_block", config.tokens_per_block},
          {"weight_bytes", session.model().weight_bytes()},  // of this process
          {"kv_bytes_per_token", config.kv_bytes_per_token()}};
}

nlohmann::ordered_json world_json(const BenchOptions& options, Session& session) {
  return {
      {"tp_size", session.config().tp_size},
      {"pp_size", session.config().pp_size},
      {"processes", session.model().processes == nullptr ? 1 : session.model().processes->size()},
      {"threads", session.pool().size()},
      {"max_batch_size", session.runner().max_batch_size()},
      {"max_num_tokens", session.runner().max_num_tokens()},
      {"scheduler_policy", options.runtime.scheduler_policy},
      {"kv_pool_tokens", session.runner().num_blocks() * session.config().tokens_per_block},
      {"kv_cache_free_gpu_mem_fraction", options.runtime.kv_cache_config.free_gpu_memory_fraction},
      {"enable_block_reuse", options.runtime.kv_cache_config.enable_block_reuse},
      {"ignore_eos", true},
      {"warmup_requests", options.warmup},
      {"warmup_ids", "fresh"},
      {"concurrency", options.concurrency},
      {"request_rate", options.request_rate}};
}

int64_t weight_bytes_of_step(const LoadedModel& model) {
  int64_t bytes = 0;
  for (const RankImage& rank : model.ranks())
    bytes += weight_bytes_per_step(rank.image->plans.front().program);
  // Of ranks in other processes nothing but their number is known here: each reads about as much.
  return model.processes == nullptr ? bytes : bytes * model.processes->size();
}

// Measured on the CPU; of GPUs what their memories are made for, as ranks of one stage read at the
// same time.
double memory_bandwidth(Session& session) {
  const Device& device = *session.model().device;
  if (device.type() != DeviceType::kCpu)
    return device.properties().bytes_per_s * static_cast<double>(session.config().tp_size);
  return measure_read_bandwidth(this_cpu_info().memory_available_bytes, session.pool()).value_or(0);
}

// Only one request at a time compares with the floor of a batch of one.
std::optional<Roofline> roofline_of(const BenchOptions& options, Session& session,
                                    const DatasetReport& dataset, const Performance& performance) {
  const RooflineInput input{
      .weight_bytes_per_step = static_cast<double>(weight_bytes_of_step(session.model())),
      .kv_bytes_per_token = static_cast<double>(session.config().kv_bytes_per_token()),
      .context_tokens = dataset.average_input_tokens + dataset.average_output_tokens / 2,
      .bandwidth_bytes_per_s = memory_bandwidth(session)};
  const bool alone = options.latency && performance.itl_ms;
  return roofline(input, alone ? std::optional(performance.itl_ms->average) : std::nullopt);
}

nlohmann::ordered_json device_json(const Device& device) {
  if (device.type() == DeviceType::kCpu) return to_json(this_cpu_info());
  const DeviceProperties& properties = device.properties();
  return {{"type", to_string(properties.type)},
          {"name", properties.name},
          {"compute_capability", properties.compute_capability},
          {"multiprocessors", properties.multiprocessors},
          {"memory_bytes", properties.memory_bytes},
          {"driver_version", properties.driver_version},
          {"runtime_version", properties.runtime_version}};
}

}  // namespace

void write_bench_dataset(const DatasetSpec& spec) {
  if (spec.distribution != "token-norm-dist" && spec.distribution != "token-unif-dist") {
    throw Error(ErrorCategory::kUsage,
                fmt::format("expected token-norm-dist|token-unif-dist, got \"{}\"",
                            printable(spec.distribution)));
  }
  write_requests(spec.output, synthetic_requests(synthetic_options(spec)));
}

std::string run_bench(const BenchOptions& options, Progress& progress) {
  check(options);
  BenchOptions resolved = options;
  if (resolved.latency) resolved.runtime.max_batch_size = 1;
  Session session(resolved.model, resolved.runtime, progress);
  if (session.runner().follows()) {
    session.runner().follow();
    return "";
  }
  const LoadOptions load = load_options(resolved, session.runner().max_batch_size());
  const Dataset dataset = load_dataset(resolved, session.model());
  const LoadResult result = run_requests(resolved, load, session, dataset, progress);
  const Performance performance = summarize(result.samples);
  const DatasetReport described = describe_dataset(dataset, resolved.dataset, resolved.warmup);
  const PerformanceReport report{
      .protocol = load.protocol,
      .performance = performance,
      .roofline = roofline_of(resolved, session, described, performance)};
  if (!resolved.report_json.empty()) {
    write_json_file(resolved.report_json,
                    report_json(engine_json(resolved, session), world_json(resolved, session),
                                device_json(*session.model().device), described, report));
  }
  if (!resolved.request_json.empty())
    write_json_file(resolved.request_json, requests_json(result.requests));
  return to_console(report);
}

std::string compare_bench_reports(const std::filesystem::path& before,
                                  const std::filesystem::path& after) {
  const nlohmann::json a = read_json_file(before), b = read_json_file(after);
  return comparison_text(compare_reports(a, before.string(), b, after.string()),
                         different_settings(a, b));
}

}  // namespace octavo
