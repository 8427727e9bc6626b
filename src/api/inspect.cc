// inspect and doctor.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/inspect.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "api/processes.h"
#include "api/rank_advice.h"
#include "api/registry.h"
#include "backend/cuda/comm/nccl_group.h"
#include "backend/cuda/cuda_device.h"
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

// The scale itself, or the shape and the ends of many.
Json scale_json(const WeightSource& weights, const std::string& name) {
  const Shape shape = weights.info(name)->shape;
  if (shape.elements() == 1) return read_scale(weights, name);
  const Tensor scales = read_tensor_as(weights, name, DType::kF32);
  const auto [low, high] =
      std::minmax_element(scales.as<float>(), scales.as<float>() + shape.elements());
  return {{"shape", to_string(shape)}, {"min", *low}, {"max", *high}};
}

Json scales_json(const WeightSource& weights) {
  Json json = Json::object();
  for (const std::string& name : weights.names()) {
    if (is_scale(name)) json[name] = scale_json(weights, name);
  }
  return json;
}

Json checkpoint_json(const InspectOptions& options) {
  const ModelDir model = open_model_dir(options.dir);
  const ModelConfig& config = model.config;
  Json json = {
      {"kind", "checkpoint"},
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
      {"inputs",
       model.quantization.inputs.quantized() ? to_string(model.quantization.inputs) : "16-bit"},
      {"modules_with_their_own", model.quantization.modules.size()},
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
      if (!plan.tactics[i].empty()) calls.back()["tactic"] = plan.tactics[i];
      if (plan.kernel_us[i] <= 0) continue;
      calls.back()["us"] = plan.kernel_us[i];
      calls.back()["roofline_share"] = plan.floor_us[i] / plan.kernel_us[i];
    }
    json.push_back({{"kind", plan.kind == PlanKind::kDecode ? "decode" : "mixed"},
                    {"max_tokens", plan.max_tokens},
                    {"calls", calls}});
  }
  return json;
}

Json engine_json(const InspectOptions& options) {
  const EngineManifest manifest = read_engine_manifest(options.dir);
  const std::vector<Plan> plans = read_engine_plans(options.dir);  // of the first rank
  Json json = {{"kind", "engine"},
               {"build_id", manifest.build_id},
               {"ranks", manifest.ranks},
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

// How the CUDA backend runs each format on this device; what was measured is in
// docs/performance.md.
std::vector<FormatInfo> cuda_formats(const DeviceProperties& device) {
  const bool fp8 = device.compute_capability >= 89;
  const bool hopper = device.compute_capability / 10 == 9;
  return {{"float32", FormatSupport::kNative, "cuBLASLt"},
          {"bfloat16", FormatSupport::kNative, "cuBLASLt"},
          {"fp8 per tensor", fp8 ? FormatSupport::kNative : FormatSupport::kNotSupported,
           fp8 ? (hopper ? "cuBLASLt and Hopper kernels" : "cuBLASLt; the portable kernels")
               : "needs compute capability 8.9"},
          {"fp8 KV cache", fp8 ? FormatSupport::kNative : FormatSupport::kNotSupported,
           fp8 ? "codes are converted to 16 bit in registers" : "needs compute capability 8.9"}};
}

Json cuda_json() {
  Json devices = Json::array();
  for (const DeviceProperties& device : cuda_devices()) {
    devices.push_back({{"name", device.name},
                       {"compute_capability", fmt::format("{}.{}", device.compute_capability / 10,
                                                          device.compute_capability % 10)},
                       {"multiprocessors", device.multiprocessors},
                       {"memory_bytes", device.memory_bytes},
                       {"l2_bytes", device.l2_bytes},
                       {"driver_version", device.driver_version},
                       {"runtime_version", device.runtime_version},
                       {"formats", to_json(cuda_formats(device))}});
  }
  Json apart = Json::array();
  for (const auto& [a, b] : gpu_peers().apart) apart.push_back({a, b});
  return {{"built_in", has_cuda_backend()}, {"devices", devices}, {"out_of_reach", apart}};
}

std::string cuda_text() {
  if (!has_cuda_backend()) return "CUDA              not part of this program\n";
  const std::vector<DeviceProperties> devices = cuda_devices();
  if (devices.empty()) return "CUDA              no device\n";
  std::string text;
  for (const DeviceProperties& device : devices) {
    text += fmt::format("CUDA              {}, compute capability {}.{}, {}, {} multiprocessors\n",
                        device.name, device.compute_capability / 10, device.compute_capability % 10,
                        format_bytes(static_cast<uint64_t>(device.memory_bytes)),
                        device.multiprocessors);
    text += to_text(cuda_formats(device));
  }
  return text;
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
    const NcclLibrary nccl = nccl_library();
    const Json report = {{"cpu", to_json(cpu)},
                         {"cuda", cuda_json()},
                         {"nccl", {{"found", nccl.found}, {"text", nccl.text}}},
                         {"formats", to_json(formats)},
                         {"kernels", kernel_registry().all().size()}};
    return report.dump(2) + "\n";
  }
  return to_text(cpu) + to_text(formats) + cuda_text() + processes_text() +
         rank_advice(gpu_peers());
}

}  // namespace octavo
