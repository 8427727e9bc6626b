// Options of the command line.
// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace octavo::app {
namespace {

// Runs `read` on the option's word and reports what it should have been.
CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& help,
                        const std::string& expected, const std::string& initial,
                        std::function<bool(const std::string&)> read) {
  CLI::Option* option = app.add_option_function<std::string>(
      spellings(name),
      [name, expected, read](const std::string& word) {
        if (!read(word))
          throw CLI::ValidationError("--" + name,
                                     "expected " + expected + ", got \"" + printable(word) + "\"");
      },
      help);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  if (!initial.empty()) option->default_str(initial);
  return option;
}

constexpr const char* kBuildGroup = "Build";
constexpr const char* kPluginGroup = "Plugins";

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(34); }
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    if (is_positional || option->get_lnames().empty())
      return Formatter::make_option_name(option, is_positional);
    return "--" + option->get_lnames().front();
  }
};

std::string describe(IntLimits limits) {
  if (limits.max == std::numeric_limits<int64_t>::max())
    return fmt::format("an integer, at least {}", limits.min);
  return fmt::format("an integer from {} to {}", limits.min, limits.max);
}

std::string describe(FloatLimits limits) {
  if (limits.max == std::numeric_limits<double>::max())
    return fmt::format("a number, at least {}", limits.min);
  return fmt::format("a number from {} to {}", limits.min, limits.max);
}

template <typename T>
std::function<bool(const std::string&)> int_reader(T& value, IntLimits limits) {
  return [&value, limits](const std::string& word) {
    const std::optional<int64_t> parsed = parse_int(word);
    if (!parsed || *parsed < limits.min || *parsed > limits.max) return false;
    value = *parsed;
    return true;
  };
}

template <typename T>
std::function<bool(const std::string&)> float_reader(T& value, FloatLimits limits) {
  return [&value, limits](const std::string& word) {
    const std::optional<double> parsed = parse_float(word);
    if (!parsed || *parsed < limits.min || *parsed > limits.max) return false;
    value = *parsed;
    return true;
  };
}

void add_plugin_options(CLI::App& app, PluginConfig& p) {
  const auto toggle = [&](const char* name, bool& value, const char* help) {
    add_switch(app, name, value, help)->group(kPluginGroup);
  };
  const auto plugin = [&](const char* name, std::string& value, const char* choices,
                          const char* help) {
    add_choice(app, name, value, choices, help)->group(kPluginGroup);
  };
  plugin("gemm_plugin", p.gemm_plugin, "auto|fp8|bfloat16|disable",
         "cuBLASLt's part in kernel choice");
  plugin("gemm_swiglu_plugin", p.gemm_swiglu_plugin, "disable|fp8", "GEMM + SwiGLU in one kernel");
  plugin("low_latency_gemm_plugin", p.low_latency_gemm_plugin, "disable|fp8",
         "GEMMs for few tokens");
  plugin("low_latency_gemm_swiglu_plugin", p.low_latency_gemm_swiglu_plugin, "disable|fp8",
         "GEMM + SwiGLU for few tokens");
  toggle("reduce_fusion", p.reduce_fusion, "all-reduce + residual + norm + quantize in one kernel");
  toggle("user_buffer", p.user_buffer,
         "GEMMs write into the reduction's buffer; needs reduce_fusion");
  toggle("use_paged_context_fmha", p.use_paged_context_fmha,
         "context attention over the paged cache");
  toggle("use_fp8_context_fmha", p.use_fp8_context_fmha,
         "context attention in FP8; needs an FP8 KV cache");
  toggle("multiple_profiles", p.multiple_profiles, "choose kernels for each token count");
  toggle("use_fused_mlp", p.use_fused_mlp, "gate and up as one linear");
  toggle("rope_attention_fusion", p.rope_attention_fusion,
         "RoPE, KV append and decode attention in one kernel where it is faster");
  toggle("norm_linear_fusion", p.norm_linear_fusion,
         "residual add and RMS norm inside the FP8 linear of few tokens behind them, where it is "
         "faster; needs --low_latency_gemm_plugin");
  toggle("norm_quant_fusion", p.norm_quant_fusion, "quantize inside the kernel before it");
}

}  // namespace

std::string spellings(const std::string& name) {
  std::string dashed = name;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  return dashed == name ? "--" + name : "--" + name + ",--" + dashed;
}

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<HelpFormatter>(); }

std::optional<int64_t> parse_int(const std::string& word) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(const std::string& word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

CLI::Option* add_text(CLI::App& app, const std::string& name, std::string& value,
                      const std::string& help) {
  CLI::Option* option = app.add_option(spellings(name), value, help);
  if (!value.empty()) option->capture_default_str();
  return option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value,
                        const std::string& choices, const std::string& help) {
  return add_text(app, name, value, help)->type_name(choices);
}

CLI::Option* add_path(CLI::App& app, const std::string& name, std::filesystem::path& value,
                      const std::string& help) {
  return add_parsed(app, name, help, "a path", "",
                    [&value](const std::string& word) {
                      value = word;
                      return !word.empty();
                    })
      ->type_name("PATH");
}

CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& value,
                      const std::string& help) {
  return app.add_option(spellings(name), value, help)->take_all()->allow_extra_args(false);
}

CLI::Option* add_range(CLI::App& app, const std::string& name,
                       std::optional<std::pair<float, float>>& value, const std::string& help) {
  const auto take = [&value](const std::vector<float>& ends) {
    value = std::pair(ends.at(0), ends.at(1));
  };
  return app.add_option_function<std::vector<float>>(spellings(name), take, help)
      ->expected(2)
      ->type_name("LOW HIGH");
}

CLI::Option* add_flag(CLI::App& app, const std::string& name, bool& value,
                      const std::string& help) {
  return app.add_flag(spellings(name), value, help);
}

CLI::Option* add_switch(CLI::App& app, const std::string& name, bool& value,
                        const std::string& help) {
  return add_parsed(app, name, help, "enable|disable", value ? "enable" : "disable",
                    [&value](const std::string& word) {
                      value = word == "enable";
                      return word == "enable" || word == "disable";
                    })
      ->type_name("enable|disable");
}

CLI::Option* add_int(CLI::App& app, const std::string& name, int64_t& value, IntLimits limits,
                     const std::string& help) {
  return add_parsed(app, name, help, describe(limits), std::to_string(value),
                    int_reader(value, limits))
      ->type_name("INT");
}

CLI::Option* add_int(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                     IntLimits limits, const std::string& help) {
  return add_parsed(app, name, help, describe(limits), "", int_reader(value, limits))
      ->type_name("INT");
}

CLI::Option* add_float(CLI::App& app, const std::string& name, double& value, FloatLimits limits,
                       const std::string& help) {
  return add_parsed(app, name, help, describe(limits), fmt::format("{}", value),
                    float_reader(value, limits))
      ->type_name("NUMBER");
}

CLI::Option* add_float(CLI::App& app, const std::string& name, std::optional<double>& value,
                       FloatLimits limits, const std::string& help) {
  return add_parsed(app, name, help, describe(limits), "", float_reader(value, limits))
      ->type_name("NUMBER");
}

CLI::Option* add_share(CLI::App& app, const std::string& name, std::optional<double>& value,
                       const std::string& help) {
  const auto read = [&value](const std::string& word) {
    const bool percent = word.ends_with('%');
    const std::optional<double> parsed =
        parse_float(percent ? word.substr(0, word.size() - 1) : word);
    if (!parsed || *parsed < 0.0) return false;
    value = percent ? *parsed / 100.0 : *parsed;
    return true;
  };
  return add_parsed(app, name, help, "a share such as 1% or 0.01", "", read)->type_name("SHARE");
}

void add_seed(CLI::App& app, uint64_t& seed, const std::string& name) {
  const auto read = [&seed](const std::string& word) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), seed);
    return error == std::errc() && end == word.data() + word.size();
  };
  add_parsed(app, name, "of everything random", "an integer from 0 to 18446744073709551615",
             std::to_string(seed), read)
      ->type_name("INT");
}

void add_threads(CLI::App& app, int& threads) {
  const auto read = [&threads](const std::string& word) {
    const std::optional<int64_t> parsed = parse_int(word);
    if (!parsed || *parsed < 0 || *parsed > 4096) return false;
    threads = static_cast<int>(*parsed);
    return true;
  };
  add_parsed(app, "threads", "CPU threads; 0: all that this process may use",
             "an integer from 0 to 4096", "0", read)
      ->type_name("INT");
}

void add_build_options(CLI::App& app, BuildConfig& config) {
  const auto choice = [&](const char* name, std::string& value, const char* choices,
                          const char* help) {
    add_choice(app, name, value, choices, help)->group(kBuildGroup);
  };
  const auto size = [&](const char* name, auto& value, IntLimits limits, const char* help) {
    add_int(app, name, value, limits, help)->group(kBuildGroup);
  };
  choice("device", config.device, "auto|cpu|cuda", "where the engine runs");
  choice("dtype", config.dtype, "auto|float32|bfloat16",
         "of what is not quantized; auto: the checkpoint's");
  choice("kv_cache_dtype", config.kv_cache_dtype, "auto|fp8|bfloat16",
         "auto: fp8 where the checkpoint has KV scales");
  size("tp_size", config.tp_size, {1, 64}, "tensor parallel ranks");
  size("pp_size", config.pp_size, {1, 64}, "pipeline stages");
  size("max_batch_size", config.max_batch_size, {1, 1 << 16}, "most sequences of a step");
  size("max_num_tokens", config.max_num_tokens, {1, 1 << 20}, "most tokens of a step");
  size("max_seq_len", config.max_seq_len, {1},
       "most tokens of a request, prompt and output; default: the model's");
  size("max_input_len", config.max_input_len, {1}, "most tokens of a prompt; default: max_seq_len");
  size("tokens_per_block", config.tokens_per_block, {1, 1024},
       "tokens of a KV cache block, a power of two");
  add_plugin_options(app, config.plugin_config);
}

std::unique_ptr<Progress> progress_of(const ModelOptions& model) {
  if (follows_another_process(model)) return std::make_unique<SilentProgress>();
  return stderr_progress();
}

void add_model_options(CLI::App& app, ModelOptions& options) {
  add_path(app, "engine_dir", options.engine_dir, "engine directory that `octavo build` wrote")
      ->group("Model");
  add_path(app, "model_dir", options.model_dir,
           "or a checkpoint, 16-bit or quantized, built in memory")
      ->group("Model");
  add_choice(app, "load_format", options.load_format, "auto|dummy",
             "dummy: random weights, only config.json is read")
      ->group("Model");
  add_choice(app, "qformat", options.qformat,
             "auto|fp8|fp8_pc_pt|fp8_block|int8_wo|int4_awq|full_prec",
             "of dummy weights; auto: full_prec")
      ->group("Model");
  add_flag(app, "deterministic", options.build_config.deterministic,
           "only kernels whose results do not depend on the batch")
      ->group("Model");
  add_choice(app, "communicator", options.communicator, "auto|peer|nccl",
             "of ranks: peer: threads of this process; nccl: processes that mpirun or torchrun "
             "started; auto: nccl where these did")
      ->group("Model");
  add_threads(app, options.threads);
  add_build_options(app, options.build_config);
}

void add_runtime_options(CLI::App& app, RuntimeOptions& options) {
  KvCacheConfig& cache = options.kv_cache_config;
  add_float(app, "kv_cache_free_gpu_mem_fraction", cache.free_gpu_memory_fraction, {0.0, 1.0},
            "share of the free memory that the KV cache takes, on the CPU too; below 1")
      ->group("Runtime");
  add_choice(app, "scheduler_policy", options.scheduler_policy,
             "guaranteed_no_evict|max_utilization",
             "max_utilization starts more requests and may have to repeat some")
      ->group("Runtime");
}

}  // namespace octavo::app
