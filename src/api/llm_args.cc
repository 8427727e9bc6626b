// Checks and translation of what the LLM class takes.
// SPDX-License-Identifier: Apache-2.0
#include "api/llm_args.h"

#include <array>

#include "api/devices.h"
#include "core/log.h"
#include "model/model_dir.h"
#include "quant/algorithm.h"
#include "runtime/engine_loader.h"

namespace octavo {
namespace {

struct AlgoName {
  QuantAlgo algo;
  std::string_view name;
  std::string_view qformat;
};

constexpr std::array kAlgos = {
    AlgoName{QuantAlgo::kNoQuant, "NO_QUANT", "full_prec"},
    AlgoName{QuantAlgo::kFp8, "FP8", "fp8"},
    AlgoName{QuantAlgo::kFp8PerChannelPerToken, "FP8_PER_CHANNEL_PER_TOKEN", "fp8_pc_pt"},
    AlgoName{QuantAlgo::kFp8BlockScales, "FP8_BLOCK_SCALES", "fp8_block"},
    AlgoName{QuantAlgo::kW8A16, "W8A16", "int8_wo"},
    AlgoName{QuantAlgo::kW4A16Awq, "W4A16_AWQ", "int4_awq"},
};

const AlgoName& entry_of(QuantAlgo algo) {
  for (const AlgoName& each : kAlgos) {
    if (each.algo == algo) return each;
  }
  throw Error(ErrorCategory::kUsage, "", "quant_algo", "no such algorithm");
}

std::string supported_names() {
  std::string names;
  for (const AlgoName& each : kAlgos) names += (names.empty() ? "" : ", ") + std::string(each.name);
  return names;
}

// One size is asked for in two places: they must agree.
void merge(std::string_view field, int64_t& to, int64_t asked) {
  if (asked == 1 || asked == to) return;
  if (to != 1) {
    throw Error(ErrorCategory::kUsage, "", field,
                fmt::format("{} here, {} in build_config", asked, to));
  }
  to = asked;
}

std::string calibration_device(const CalibConfig& config, const std::string& run_device) {
  if (config.device != "cpu" && config.device != "cuda") {
    throw Error(ErrorCategory::kUsage, "", "calib_config.device",
                fmt::format("expected \"cuda\" or \"cpu\", got \"{}\"", printable(config.device)));
  }
  const std::string resolved = resolve_device(run_device);
  if (config.device == "cuda" && resolved == "cpu") {
    log_info("calib_config.device \"cuda\": the model runs on the CPU, so it is calibrated there");
    return "cpu";
  }
  return config.device;
}

bool asks(const std::optional<QuantAlgo>& algo) { return algo && *algo != QuantAlgo::kNoQuant; }

// "fp8" or "none".
std::string kv_cache_format(const QuantConfig& config) {
  if (!asks(config.kv_cache_quant_algo)) return "none";
  if (*config.kv_cache_quant_algo == QuantAlgo::kFp8) return "fp8";
  throw unsupported("", "kv_cache_quant_algo",
                    fmt::format("expected FP8, got {}", to_string(*config.kv_cache_quant_algo)));
}

const QuantFormat& weight_format(const QuantConfig& config) {
  return find_quant_format(entry_of(config.quant_algo.value_or(QuantAlgo::kNoQuant)).qformat);
}

// A checkpoint that is quantized already must be what was asked for.
bool is_already(const ModelDir& model, const QuantFormat& weights, bool fp8_cache) {
  const CheckpointQuantization& has = model.quantization;
  if (!has.quantized()) return false;
  const LinearScheme linears = {.weights = has.weights, .inputs = has.inputs};
  if (has.modules.empty() && linears == weights.linears && has.kv_cache.has_value() == fp8_cache)
    return true;
  throw unsupported(model.path.string(), "quant_config",
                    "the checkpoint is quantized already, and not as asked for: leave quant_config "
                    "out, or give the 16-bit checkpoint");
}

// Random weights are made in the scheme; nothing is calibrated, and no quality is there to keep.
void take_dummy_format(const QuantConfig& quant, ModelOptions& options) {
  const std::pair<const char*, bool> of_real_weights[] = {
      {"exclude_modules", !quant.exclude_modules.empty()},
      {"clamp_val", quant.clamp_val.has_value()},
      {"use_meta_recipe", quant.use_meta_recipe},
      {"max_ppl_increase", quant.max_ppl_increase.has_value()}};
  for (const auto& [field, asked] : of_real_weights) {
    if (asked) throw unsupported("", field, "needs real weights: load_format is \"dummy\"");
  }
  if (asks(quant.quant_algo)) options.qformat = weight_format(quant).name;
  std::string& cache = options.build_config.kv_cache_dtype;  // as asked for, whatever its scales
  if (kv_cache_format(quant) == "fp8" && cache == "auto") cache = "fp8";
}

void check_sizes(const CalibConfig& config) {
  const std::pair<const char*, int64_t> sizes[] = {
      {"calib_config.calib_batches", config.calib_batches},
      {"calib_config.calib_batch_size", config.calib_batch_size},
      {"calib_config.calib_max_seq_length", config.calib_max_seq_length},
      {"calib_config.tokenizer_max_seq_length", config.tokenizer_max_seq_length}};
  constexpr int64_t kMax = 1 << 24;
  for (const auto& [field, value] : sizes) {
    if (value >= 1 && value <= kMax) continue;
    throw Error(ErrorCategory::kUsage, "", field,
                fmt::format("expected 1 to {}, got {}", kMax, value));
  }
}

}  // namespace

QuantAlgo parse_quant_algo(std::string_view name) {
  for (const AlgoName& each : kAlgos) {
    if (each.name == name) return each.algo;
  }
  throw unsupported("", "quant_algo",
                    fmt::format("expected one of {}, got {}", supported_names(), printable(name)));
}

std::string_view to_string(QuantAlgo algo) { return entry_of(algo).name; }

ModelOptions model_options(const LLMArgs& args) {
  if (args.model.empty()) throw Error(ErrorCategory::kUsage, "", "model", "expected a folder");
  ModelOptions options{.load_format = args.load_format,
                       .build_config = args.build_config,
                       .threads = args.threads,
                       .communicator = "peer"};
  (is_engine_dir(args.model) ? options.engine_dir : options.model_dir) = args.model;
  BuildConfig& build = options.build_config;
  merge("tensor_parallel_size", build.tp_size, args.tensor_parallel_size);
  merge("pipeline_parallel_size", build.pp_size, args.pipeline_parallel_size);
  if (args.dtype != "auto") {
    if (build.dtype != "auto" && build.dtype != args.dtype) {
      throw Error(ErrorCategory::kUsage, "", "dtype",
                  fmt::format("{} here, {} in build_config", args.dtype, build.dtype));
    }
    build.dtype = args.dtype;
  }
  if (args.load_format == "dummy") take_dummy_format(args.quant_config, options);
  return options;
}

RuntimeOptions runtime_options(const LLMArgs& args) {
  return {.kv_cache_config = args.kv_cache_config,
          .scheduler_policy = args.capacity_scheduler_policy,
          .max_batch_size = args.max_batch_size,
          .max_num_tokens = args.max_num_tokens};
}

std::optional<QuantizeOptions> quantize_options(const LLMArgs& args) {
  const QuantConfig& quant = args.quant_config;
  const std::string kv_format = kv_cache_format(quant);
  if (!asks(quant.quant_algo) && kv_format == "none") return std::nullopt;
  const QuantFormat& format = weight_format(quant);
  const CalibConfig& calib = args.calib_config;
  check_sizes(calib);
  if (is_engine_dir(args.model)) {
    throw unsupported(args.model.string(), "quant_config",
                      "an engine is quantized as it was built: leave quant_config out");
  }
  if (args.load_format == "dummy") return std::nullopt;
  if (is_already(open_model_dir(args.model), format, kv_format == "fp8")) {
    if (!quant.max_ppl_increase) return std::nullopt;
    throw unsupported("", "max_ppl_increase",
                      "the checkpoint is quantized already: nothing can be left in 16 bit");
  }
  return QuantizeOptions{.model_dir = args.model,
                         .qformat = std::string(format.name),
                         .kv_cache_dtype = kv_format,
                         .dtype = args.dtype == "auto" ? args.build_config.dtype : args.dtype,
                         .calib_dataset = calib.calib_dataset,
                         .calib_size = calib.calib_batches * calib.calib_batch_size,
                         .batch_size = calib.calib_batch_size,
                         .calib_max_seq_length = calib.calib_max_seq_length,
                         .tokenizer_max_seq_length = calib.tokenizer_max_seq_length,
                         .exclude_modules = quant.exclude_modules,
                         .clamp_val = quant.clamp_val,
                         .use_meta_recipe = quant.use_meta_recipe,
                         .max_ppl_increase = quant.max_ppl_increase,
                         .quality_dataset = calib.quality_dataset,
                         .quality_tokens = calib.quality_tokens,
                         .quality_context = calib.quality_context,
                         .device = calibration_device(calib, args.build_config.device),
                         .seed = calib.random_seed,
                         .threads = args.threads};
}

}  // namespace octavo
