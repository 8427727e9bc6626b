// inspect and doctor.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/inspect.h"

#include <map>
#include <nlohmann/json.hpp>

#include "api/registry.h"
#include "builder/apply_quantization.h"
#include "measure/device_info.h"
#include "model/model_dir.h"
#include "runtime/engine_loader.h"

namespace octavo {
namespace {

using Json = nlohmann::ordered_json;

// Bytes and tensors by element type.
Json sizes_json(const WeightSource& weights) {
  std::map<std::string, std::pair<int64_t, int64_t>> by_type;
  for (const std::string& name : weights.names()) {
    const std::optional<WeightInfo> info = weights.info(name);
    if (!info) continue;
    auto& [tensors, bytes] = by_type[std::string(to_string(info->dtype))];
    ++tensors;
    bytes += info->shape.elements() * size_of(info->dtype);
  }
  Json json = Json::object();
  for (const auto& [type, counts] : by_type)
    json[type] = {{"tensors", counts.first}, {"bytes", counts.second}};
  return json;
}

bool is_scale(const std::string& name) { return name.ends_with("_scale"); }

Json scales_json(const WeightSource& weights) {
  Json json = Json::object();
  for (const std::string& name : weights.names()) {
    if (is_scale(name)) json[name] = read_scale(weights, name);
  }
  return json;
}

Json checkpoint_json(const InspectOptions& options) {
  const ModelDir model = open_model_dir(options.dir);
  const ModelConfig& config = model.config;
  Json json = {{"kind", "checkpoint"},
               {"architecture", config.architecture},
               {"layers", config.num_layers},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", config.intermediate_size},
               {"heads", config.num_heads},
               {"kv_heads", config.num_kv_heads},
               {"head_dim", config.head_dim},
               {"vocab_size", config.vocab_size},
               {"max_position", config.max_position},
               {"quantization",
                model.quantization.quantized() ? to_string(model.quantization.weights) : "none"},
               {"kv_cache",
                model.quantization.kv_cache ? to_string(*model.quantization.kv_cache) : "16-bit"},
               {"exclude_modules", model.quantization.exclude_modules},
               {"bytes", model.weight_bytes},
               {"tensors", sizes_json(*model.weights)}};
  if (options.scales) json["scales"] = scales_json(*model.weights);
  return json;
}

Json kernels_json(const std::vector<Plan>& plans) {
  Json json = Json::array();
  for (const Plan& plan : plans) {
    Json calls = Json::array();
    for (size_t i = 0; i < plan.program.calls.size(); ++i) {
      const Call& call = plan.program.calls[i];
      calls.push_back({{"layer", call.layer},
                       {"role", to_string(call.role)},
                       {"op", to_string(call.op)},
                       {"kernel", plan.kernels[i]}});
      if (plan.kernel_us[i] > 0) calls.back()["us"] = plan.kernel_us[i];
    }
    json.push_back({{"kind", plan.kind == PlanKind::kDecode ? "decode" : "mixed"},
                    {"max_tokens", plan.max_tokens},
                    {"calls", calls}});
  }
  return json;
}

Json engine_json(const InspectOptions& options) {
  const EngineManifest manifest = read_engine_manifest(options.dir);
  const std::vector<Plan> plans = read_engine_plans(options.dir);
  Json json = {{"kind", "engine"},
               {"build_id", manifest.build_id},
               {"engine", to_json(manifest.config)},
               {"kv_bytes_per_token", manifest.config.kv_bytes_per_token()},
               {"plans", plans.size()},
               {"provenance", manifest.json.value("provenance", nlohmann::json())}};
  if (options.kernels) json["kernels"] = kernels_json(plans);
  return json;
}

// Nested objects as indented lines, lists of plain values on one line.
void append_text(std::string& text, const Json& json, int depth) {
  for (const auto& [key, value] : json.items()) {
    const std::string indent(static_cast<size_t>(2 * depth), ' ');
    if (value.is_object()) {
      text += fmt::format("{}{}:\n", indent, key);
      append_text(text, value, depth + 1);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      text += fmt::format("{}{}:\n", indent, key);
      for (const Json& item : value) {
        if (item.contains("calls")) {
          append_text(text, item, depth + 1);
        } else {
          text += fmt::format("{}  {}\n", indent, item.dump());
        }
      }
    } else {
      text += fmt::format("{}{}: {}\n", indent, key,
                          value.is_string() ? printable(value.get<std::string>()) : value.dump());
    }
  }
}

}  // namespace

std::string inspect(const InspectOptions& options, bool json) {
  const Json report = is_engine_dir(options.dir) ? engine_json(options) : checkpoint_json(options);
  if (json) return report.dump(2) + "\n";
  std::string text;
  append_text(text, report, 0);
  return text;
}

std::string doctor(bool json) {
  const CpuInfo cpu = this_cpu_info();
  const std::vector<FormatInfo> formats = cpu_formats(cpu);
  if (json) {
    const Json report = {{"cpu", to_json(cpu)},
                         {"cuda", {{"built_in", false}, {"devices", Json::array()}}},
                         {"formats", to_json(formats)},
                         {"kernels", kernel_registry().all().size()}};
    return report.dump(2) + "\n";
  }
  return to_text(cpu) + to_text(formats) + "CUDA              not part of this program\n";
}

}  // namespace octavo
