// quantize: calibration set → statistics → scales → checkpoint → what it cost.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/quantize.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "api/devices.h"
#include "api/model_source.h"
#include "api/quality_budget.h"
#include "api/registry.h"
#include "api/sample_text.h"
#include "api/self_calibration.h"
#include "builder/build_options.h"
#include "core/log.h"
#include "io/output_target.h"
#include "numerics/e4m3.h"
#include "quant/activation_aware.h"
#include "quant/calibration_set.h"
#include "quant/calibrator.h"
#include "quant/export.h"
#include "quant/sensitivity.h"

namespace octavo {
namespace {

ExportFormat export_format(const QuantizeOptions& options) {
  if (options.export_format == "modelopt") return ExportFormat::kModelOpt;
  if (options.export_format == "compressed-tensors") return ExportFormat::kCompressedTensors;
  throw Error(ErrorCategory::kUnsupported,
              fmt::format("--export_format: expected modelopt or compressed-tensors, got \"{}\"",
                          printable(options.export_format)));
}

// Options of inputs that are quantized at run time, on a format that has none, are refused.
void check_dynamic_options(const QuantizeOptions& options, const QuantFormat& format) {
  const auto refuse = [](const char* what) { throw Error(ErrorCategory::kUnsupported, what); };
  if (options.use_meta_recipe && format.linears != kFp8PerChannelPerToken)
    refuse("--use_meta_recipe needs --qformat fp8_pc_pt");
  if (options.clamp_val && !format.linears.inputs.dynamic)
    refuse("--clamp_val needs a --qformat whose inputs are quantized at run time: fp8_pc_pt");
  if ((options.clamp_val || options.use_meta_recipe) &&
      export_format(options) == ExportFormat::kCompressedTensors)
    refuse("--export_format compressed-tensors cannot say --clamp_val: use modelopt");
}

// Patterns of modules that stay in 16 bit.
std::vector<std::string> excluded_modules(const QuantizeOptions& options, const ModelDir& model) {
  std::vector<std::string> patterns = options.exclude_modules;
  if (!options.use_meta_recipe) return patterns;
  patterns.push_back("model.layers.0");
  if (model.config.num_layers > 1)
    patterns.push_back(fmt::format("model.layers.{}", model.config.num_layers - 1));
  patterns.push_back("*.self_attn.*");
  return patterns;
}

std::optional<std::pair<float, float>> clamp_of(const QuantizeOptions& options) {
  if (options.use_meta_recipe && !options.clamp_val) return std::pair(-1200.0f, 1200.0f);
  return options.clamp_val;
}

// "PATTERN=FORMAT" of each.
std::vector<std::pair<std::string, const QuantFormat*>> module_formats(
    const QuantizeOptions& options) {
  std::vector<std::pair<std::string, const QuantFormat*>> formats;
  for (const std::string& text : options.module_qformats) {
    const size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0 || text != printable(text, text.size()))
      throw Error(
          ErrorCategory::kUsage,
          fmt::format("--module_qformat: expected PATTERN=FORMAT, got \"{}\"", printable(text)));
    formats.emplace_back(text.substr(0, equals), &find_quant_format(text.substr(equals + 1)));
  }
  return formats;
}

bool needs_calibration(const QuantizeOptions& options) {
  bool needed =
      options.kv_cache_dtype == "fp8" || find_quant_format(options.qformat).needs_calibration();
  for (const auto& [pattern, format] : module_formats(options))
    needed |= format->needs_calibration();
  return needed;
}

void check_quality_options(const QuantizeOptions& options) {
  const auto refuse = [](const char* what) { throw Error(ErrorCategory::kUsage, what); };
  if (options.quality_tokens < 1) refuse("--quality_tokens: expected at least 1");
  if (options.quality_context < 1) refuse("--quality_context: expected at least 1");
  if (!options.max_ppl_increase) {
    if (!options.quality_dataset.empty()) refuse("--quality_dataset: needs --max_ppl_increase");
    return;
  }
  if (!std::isfinite(*options.max_ppl_increase) || *options.max_ppl_increase < 0.0)
    refuse("--max_ppl_increase: expected a share of 0 or more, as 1% or 0.01");
  if (options.load_format == "dummy")
    throw Error(ErrorCategory::kUnsupported, "--max_ppl_increase: random weights have no quality");
}

void check(const QuantizeOptions& options) {
  const auto require = [](bool condition, std::string_view what) {
    if (!condition) throw Error(ErrorCategory::kUsage, std::string(what));
  };
  require(options.kv_cache_dtype == "none" || options.kv_cache_dtype == "fp8",
          "--kv_cache_dtype: expected none|fp8");
  require(options.dtype == "auto" || options.dtype == "float32" || options.dtype == "bfloat16",
          "--dtype: expected auto|float32|bfloat16");
  for (const std::string& pattern : options.exclude_modules) {
    require(pattern == printable(pattern, pattern.size()),
            "--exclude_modules: expected printable text in UTF-8");
  }
  require(options.calib_size >= 1, "--calib_size: expected at least 1");
  require(options.batch_size >= 1 && options.batch_size <= 4096,
          "--batch_size: expected 1 to 4096");
  require(options.calib_max_seq_length >= 1, "--calib_max_seq_length: expected at least 1");
  require(options.tokenizer_max_seq_length >= 1, "--tokenizer_max_seq_length: expected at least 1");
  require(!options.clamp_val || (std::isfinite(options.clamp_val->first) &&
                                 std::isfinite(options.clamp_val->second) &&
                                 options.clamp_val->first < options.clamp_val->second),
          "--clamp_val: expected two finite numbers, the lower first");
  check_quality_options(options);
  export_format(options);
  check_dynamic_options(options, find_quant_format(options.qformat));
  if (find_quant_format(options.qformat).algorithm == nullptr && options.kv_cache_dtype == "none" &&
      module_formats(options).empty()) {
    throw Error(ErrorCategory::kUsage,
                "--qformat full_prec without --kv_cache_dtype fp8 would quantize nothing");
  }
  resolve_device(options.device);
}

nlohmann::json statistics_json(const std::map<std::string, TensorStatistics>& statistics) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [module, of_module] : statistics)
    json[module] = {{"amax", of_module.amax}, {"count", of_module.count}};
  return json;
}

// Figures that a second run on the same machine gives again.
nlohmann::json quality_json(const QuantizeOptions& options, const QualityReport& quality) {
  nlohmann::json layers = nlohmann::json::array();
  for (const auto& [layer, kl] : quality.layer_kl)
    layers.push_back({{"layer", layer}, {"mean_kl", kl}});
  return {{"max_ppl_increase", *options.max_ppl_increase},
          {"reference_perplexity", quality.reference_perplexity},
          {"all_quantized_perplexity", quality.all_quantized_perplexity},
          {"perplexity", quality.perplexity},
          {"ppl_increase", quality.ppl_increase},
          {"ppl_increase_interval95",
           {quality.ppl_increase_interval.first, quality.ppl_increase_interval.second}},
          {"tokens", quality.tokens},
          {"context", quality.context},
          {"layer_sensitivity", layers},
          {"layers_left", quality.layers_left},
          {"bytes_of_layers_left", quality.bytes_of_layers_left}};
}

nlohmann::json manifest_json(const QuantizeOptions& options, const CalibrationSet& set,
                             const CalibrationStatistics& statistics,
                             const QuantizationPlan& plan) {
  nlohmann::json nonfinite = nlohmann::json::object();
  for (const auto& [name, bad] : plan.nonfinite)
    nonfinite[name] = {{"count", bad.count}, {"first", bad.first}};
  nlohmann::json clipped = nlohmann::json::object();
  for (const auto& [module, of_module] : statistics.inputs) {
    const auto scale = plan.scales.find(module + ".input_scale");
    if (scale != plan.scales.end())
      clipped[module] = of_module.share_above(scale->second.values[0] * kE4M3RoundsToMax);
  }
  return {{"program", "octavo 0.1.0"},
          {"load_format", options.load_format},
          {"qformat", options.qformat},
          {"kv_cache_dtype", options.kv_cache_dtype},
          {"algorithm", "max"},
          {"calibration",
           {{"source", set.source},
            {"hash", set.hash},
            {"samples", statistics.samples},
            {"tokens", statistics.tokens},
            {"truncated_samples", set.truncated},
            {"empty_samples", set.empty},
            {"skipped_lines", set.skipped_lines},
            {"seed", options.seed}}},
          {"input_amax", statistics_json(statistics.inputs)},
          {"key_amax", statistics_json(statistics.keys)},
          {"value_amax", statistics_json(statistics.values)},
          {"clipped_share", clipped},
          {"expert_tokens", statistics.routed_tokens},
          {"nonfinite_weights", nonfinite},
          {"warnings", plan.warnings}};
}

CalibrationSet calibration_set(const QuantizeOptions& asked, const ModelDir& model, Device& device,
                               Progress& progress) {
  QuantizeOptions options = asked;
  // One sample shows what the linears lose; scales do not depend on it.
  if (!needs_calibration(options)) options.calib_size = 1;
  const bool named = options.calib_dataset == "cnn_dailymail";
  const int64_t max_length = std::min(options.calib_max_seq_length, model.config.max_position);
  if (options.load_format == "dummy" && (named || options.calib_dataset.empty())) {
    return random_calibration_set(model.config.vocab_size, options.calib_size, max_length,
                                  options.seed);
  }
  if (named) {
    log_info(
        "--calib_dataset cnn_dailymail: Octavo downloads nothing; the model samples its own set");
  } else if (!options.calib_dataset.empty()) {
    return read_calibration_set(options.calib_dataset, Tokenizer::load(options.model_dir),
                                {.size = options.calib_size,
                                 .max_length = max_length,
                                 .tokenizer_max_length = options.tokenizer_max_seq_length,
                                 .skip_bad_lines = options.skip_bad_lines});
  }
  return sample_calibration_set(
      model, {.size = options.calib_size, .max_length = max_length, .seed = options.seed}, device,
      progress);
}

std::function<void(int64_t, int64_t)> bar(Progress& progress, const char* message) {
  return [&progress, message](int64_t done, int64_t total) {
    progress.update(done, total, message);
    if (done == total) progress.finish();
  };
}

PlanOptions plan_options(const QuantizeOptions& options, const ModelDir& model,
                         std::function<void(int64_t, int64_t)> progress) {
  return {.exclude_modules = excluded_modules(options, model),
          .module_formats = module_formats(options),
          .quantize_lm_head = options.quantize_lm_head,
          .fp8_kv_cache = options.kv_cache_dtype == "fp8",
          .clamp = clamp_of(options),
          .allow_nonfinite = options.allow_nonfinite,
          .progress = std::move(progress)};
}

// The model as it is quantized: channels folded where the format asks for it.
ModelDir prepared(const ModelDir& model, const QuantizeOptions& options, const PlanOptions& plan,
                  const CalibrationSet& set, ThreadPool& pool, Progress& progress) {
  const QuantFormat& format = find_quant_format(options.qformat);
  ActivationAwareOptions search{
      .weights = {},
      .modules = {},
      .calibration = {.batch_size = options.batch_size,
                      .dtype = activation_dtype({.dtype = options.dtype}, model.config),
                      .observe_lm_head = options.quantize_lm_head,
                      .allow_nonfinite = options.allow_nonfinite,
                      .progress = bar(progress, "observing channels")}};
  for (const auto& [module, scheme] : linears_to_quantize(model, format, plan)) {
    if (scheme.weights.element != DType::kI4x2) continue;
    search.weights = scheme.weights;
    search.modules.insert(module);
  }
  if (search.modules.empty()) return model;
  return fold_activation_aware(model, set.samples, kernel_registry(), pool, search);
}

// The ten linears whose output changes most, on the beginning of a calibration sample.
std::vector<std::pair<std::string, double>> worst_modules(const ModelDir& model,
                                                          const QuantizationPlan& plan,
                                                          std::vector<int32_t> sample,
                                                          ThreadPool& pool) {
  if (!plan.quantization.quantizes_linears()) return {};
  sample.resize(std::min<size_t>(sample.size(), 256));
  auto errors = linear_errors(model, plan, sample, kernel_registry(), pool);
  errors.resize(std::min<size_t>(errors.size(), 10));
  return errors;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int64_t peak_host_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

uint64_t directory_bytes(const std::filesystem::path& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

std::vector<std::filesystem::path> input_files(const QuantizeOptions& options) {
  std::vector<std::filesystem::path> inputs = {options.model_dir};
  for (const std::string& file : {options.calib_dataset, options.quality_dataset}) {
    if (std::filesystem::exists(file)) inputs.emplace_back(file);
  }
  return inputs;
}

CalibrationStatistics gather_statistics(const QuantizeOptions& options, const ModelDir& model,
                                        const CalibrationSet& set, Device& device,
                                        Progress& progress) {
  if (!needs_calibration(options)) return {};
  return calibrate(model, set.samples, kernel_registry(), device,
                   {.batch_size = options.batch_size,
                    .dtype = activation_dtype({.dtype = options.dtype}, model.config),
                    .observe_lm_head = options.quantize_lm_head,
                    .allow_nonfinite = options.allow_nonfinite,
                    .max_memory = options.max_memory,
                    .progress = bar(progress, "calibrating layers")});
}

// All linears quantized that the options name, or fewer where a budget of quality is given.
struct Quantized {
  ModelDir model;
  QuantizationPlan plan;
  std::optional<QualityReport> quality;
};

Quantized within_budget(const ModelDir& original, Quantized all, const QuantizeOptions& options,
                        std::vector<int32_t> stream, ThreadPool& pool, Progress& progress) {
  if (!options.max_ppl_increase) return all;
  QualityBudget budget{.max_ppl_increase = *options.max_ppl_increase,
                       .stream = std::move(stream),
                       .context = options.quality_context,
                       .config = {}};
  budget.config.device = resolve_device(options.device);
  budget.config.dtype = options.dtype;
  BudgetedPlan found = keep_quality(original, all.model, all.plan, budget, pool, progress);
  return {std::move(found.model), std::move(found.plan), std::move(found.report)};
}

int64_t count_linears(const QuantizationPlan& plan) {
  return std::ranges::count_if(plan.scales,
                               [](const auto& s) { return s.first.ends_with(".weight_scale"); });
}

}  // namespace

QuantizeReport quantize(const QuantizeOptions& options, Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  check(options);
  // Refused now rather than after an hour of calibration.
  const std::vector<std::filesystem::path> inputs = input_files(options);
  resolve_output_target(options.output_dir, {.overwrite = options.overwrite, .inputs = inputs});
  const ModelDir model = open_model_dir(options.model_dir, load_format_of(options.load_format));
  if (model.quantization.quantized()) {
    throw unsupported(options.model_dir.string(), "quantization_config",
                      "the checkpoint is already quantized");
  }
  std::vector<int32_t> held_out;
  if (options.max_ppl_increase) held_out = quality_stream(options, model);
  ThreadPool pool(options.threads);
  const std::shared_ptr<Device> device = open_device(resolve_device(options.device), pool);
  const CalibrationSet set = calibration_set(options, model, *device, progress);
  const auto calibration_start = std::chrono::steady_clock::now();
  const CalibrationStatistics statistics =
      gather_statistics(options, model, set, *device, progress);
  const double calibration_seconds = seconds_since(calibration_start);
  const PlanOptions plan_with = plan_options(options, model, bar(progress, "choosing scales"));
  Quantized all{.model = prepared(model, options, plan_with, set, pool, progress)};
  all.plan =
      plan_quantization(all.model, find_quant_format(options.qformat), statistics, plan_with);
  const Quantized chosen =
      within_budget(model, std::move(all), options, std::move(held_out), pool, progress);
  const QuantizationPlan& plan = chosen.plan;
  QuantizeReport report{.quantized_linears = count_linears(plan),
                        .samples = statistics.samples,
                        .tokens = statistics.tokens,
                        .bytes_before = model.weight_bytes,
                        .calibration_seconds = calibration_seconds,
                        .device = device->properties().name,
                        .peak_device_bytes = statistics.peak_device_bytes,
                        .spilled_bytes = statistics.spilled_bytes,
                        .warnings = plan.warnings,
                        .quality = chosen.quality};
  // Before anything is written: an output that is not finite is an error. What is not finite in
  // the model itself was asked for, but cannot run.
  if (plan.nonfinite.empty())
    report.worst_modules = worst_modules(chosen.model, plan, set.samples.front(), pool);
  nlohmann::json manifest = manifest_json(options, set, statistics, plan);
  if (chosen.quality) manifest["quality"] = quality_json(options, *chosen.quality);
  export_checkpoint(chosen.model, plan, options.output_dir,
                    {.format = export_format(options),
                     .overwrite = options.overwrite,
                     .manifest = manifest,
                     .inputs = inputs,
                     .progress = bar(progress, "writing tensors")});
  report.bytes_after = directory_bytes(options.output_dir);
  report.peak_host_bytes = peak_host_bytes();
  if (plan.nonfinite.empty()) add_sample_texts(report, options);
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace octavo
