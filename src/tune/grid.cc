// The table of tunable flags, and reading of grids.
// SPDX-License-Identifier: Apache-2.0
#include "tune/grid.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>

#include "io/json.h"
#include "io/json_object.h"

namespace octavo {
namespace {

constexpr size_t kMaxCombinations = 4096;

enum class Kind { kInteger, kName, kSwitch };

struct Flag {
  Kind kind;
  // Where LLM(…) takes it in Python: "build_config", "plugin_config", "kv_cache_config" or "".
  const char* home;
  std::function<void(const std::string&, ModelOptions&, RuntimeOptions&)> set;
};

int64_t integer(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

template <typename Member>
Flag build_integer(Member BuildConfig::*member) {
  return {Kind::kInteger, "build_config",
          [member](const std::string& value, ModelOptions& model, RuntimeOptions&) {
            model.build_config.*member = integer(value);
          }};
}

Flag build_name(std::string BuildConfig::*member) {
  return {Kind::kName, "build_config",
          [member](const std::string& value, ModelOptions& model, RuntimeOptions&) {
            model.build_config.*member = value;
          }};
}

Flag plugin_name(std::string PluginConfig::*member) {
  return {Kind::kName, "plugin_config",
          [member](const std::string& value, ModelOptions& model, RuntimeOptions&) {
            model.build_config.plugin_config.*member = value;
          }};
}

Flag plugin_switch(bool PluginConfig::*member) {
  return {Kind::kSwitch, "plugin_config",
          [member](const std::string& value, ModelOptions& model, RuntimeOptions&) {
            model.build_config.plugin_config.*member = value == "enable";
          }};
}

const std::map<std::string, Flag>& flags() {
  static const std::map<std::string, Flag> table = {
      {"gemm_plugin", plugin_name(&PluginConfig::gemm_plugin)},
      {"gemm_swiglu_plugin", plugin_name(&PluginConfig::gemm_swiglu_plugin)},
      {"kv_cache_dtype", build_name(&BuildConfig::kv_cache_dtype)},
      {"low_latency_gemm_plugin", plugin_name(&PluginConfig::low_latency_gemm_plugin)},
      {"low_latency_gemm_swiglu_plugin",
       plugin_name(&PluginConfig::low_latency_gemm_swiglu_plugin)},
      {"max_batch_size", build_integer(&BuildConfig::max_batch_size)},
      {"max_num_tokens", build_integer(&BuildConfig::max_num_tokens)},
      {"multiple_profiles", plugin_switch(&PluginConfig::multiple_profiles)},
      {"norm_linear_fusion", plugin_switch(&PluginConfig::norm_linear_fusion)},
      {"norm_quant_fusion", plugin_switch(&PluginConfig::norm_quant_fusion)},
      {"pp_size", build_integer(&BuildConfig::pp_size)},
      {"reduce_fusion", plugin_switch(&PluginConfig::reduce_fusion)},
      {"rope_attention_fusion", plugin_switch(&PluginConfig::rope_attention_fusion)},
      {"scheduler_policy",
       {Kind::kName, "",
        [](const std::string& value, ModelOptions&, RuntimeOptions& runtime) {
          runtime.scheduler_policy = value;
        }}},
      {"tokens_per_block", build_integer(&BuildConfig::tokens_per_block)},
      {"tp_size", build_integer(&BuildConfig::tp_size)},
      {"use_fp8_context_fmha", plugin_switch(&PluginConfig::use_fp8_context_fmha)},
      {"use_fused_mlp", plugin_switch(&PluginConfig::use_fused_mlp)},
      {"use_paged_context_fmha", plugin_switch(&PluginConfig::use_paged_context_fmha)},
      {"user_buffer", plugin_switch(&PluginConfig::user_buffer)},
  };
  return table;
}

std::string value_text(const JsonField& field, Kind kind) {
  if (kind == Kind::kInteger) return fmt::format("{}", field.as_int({1, int64_t{1} << 30}));
  if (kind == Kind::kSwitch && field.is_bool()) return field.as_bool() ? "enable" : "disable";
  const std::string& text = field.as_string();
  if (kind == Kind::kSwitch && text != "enable" && text != "disable")
    throw field.mismatch("enable or disable");
  return text;
}

}  // namespace

std::vector<std::string> tunable_flags() {
  std::vector<std::string> names;
  for (const auto& [name, flag] : flags()) names.push_back(name);
  return names;
}

std::vector<Settings> read_grid(const std::filesystem::path& file) {
  const nlohmann::json json = read_json_file(file.string());
  const JsonObject object(json, file.string());
  std::vector<Settings> combinations = {{}};
  for (const std::string& name : object.keys()) {
    const auto flag = flags().find(name);
    if (flag == flags().end()) {
      throw bad_file(
          file.string(), name,
          fmt::format("no flag of a grid; there are {}", fmt::join(tunable_flags(), ", ")));
    }
    const std::vector<JsonField> values = object.required_array(name);
    if (values.empty()) throw object.required(name).mismatch("at least one value");
    if (combinations.size() * values.size() > kMaxCombinations)
      throw bad_file(file.string(), name,
                     fmt::format("more than {} combinations", kMaxCombinations));
    std::vector<Settings> longer;
    for (const Settings& settings : combinations) {
      for (const JsonField& value : values) {
        longer.push_back(settings);
        longer.back()[name] = value_text(value, flag->second.kind);
      }
    }
    combinations = std::move(longer);
  }
  return combinations;
}

void apply_settings(const Settings& settings, ModelOptions& model, RuntimeOptions& runtime) {
  for (const auto& [name, value] : settings) flags().at(name).set(value, model, runtime);
}

std::string command_line(const Settings& settings) {
  std::string text;
  for (const auto& [name, value] : settings) text += fmt::format(" --{} {}", name, value);
  return text.empty() ? text : text.substr(1);
}

std::string llm_arguments(const Settings& settings) {
  std::map<std::string, std::string> homes;
  for (const auto& [name, value] : settings) {
    const Flag& flag = flags().at(name);
    const std::string python = flag.kind == Kind::kInteger  ? value
                               : flag.kind == Kind::kSwitch ? (value == "enable" ? "True" : "False")
                                                            : fmt::format("\"{}\"", value);
    std::string& list = homes[flag.home];
    list += fmt::format("{}{}={}", list.empty() ? "" : ", ", name, python);
  }
  if (homes.contains("plugin_config")) {
    std::string& build = homes["build_config"];
    build += fmt::format("{}plugin_config=PluginConfig({})", build.empty() ? "" : ", ",
                         homes["plugin_config"]);
  }
  std::string text;
  if (homes.contains("build_config"))
    text = fmt::format("build_config=BuildConfig({})", homes["build_config"]);
  if (homes.contains("")) text += fmt::format("{}{}", text.empty() ? "" : ", ", homes[""]);
  return text;
}

}  // namespace octavo
