// Encoding of weights on the fly.
// SPDX-License-Identifier: Apache-2.0
#include "quant/quantized_weights.h"

#include <algorithm>
#include <set>

#include "core/log.h"
#include "numerics/bf16.h"
#include "numerics/scale.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

constexpr double kClippedShareWarning = 0.001;
constexpr float kOutlierWarning = 1e4f;

class Planner {
 public:
  Planner(const ModelDir& model, const QuantFormat& format, const CalibrationStatistics& statistics,
          const PlanOptions& options)
      : model_(model), format_(format), statistics_(statistics), options_(options) {}

  QuantizationPlan run() {
    plan_.quantization.method = "modelopt";
    plan_.quantization.weights = format_.weights;
    plan_.quantization.exclude_modules = options_.exclude_modules;
    if (!options_.quantize_lm_head) plan_.quantization.exclude_modules.push_back("lm_head");
    exclude_routers();
    if (options_.fp8_kv_cache) plan_.quantization.kv_cache = kFp8PerTensor;
    check_excludes();
    const std::vector<ModelTensor> tensors = model_tensors(*model_.architecture, model_.config);
    for (size_t i = 0; i < tensors.size(); ++i) {
      plan_tensor(tensors[i]);
      if (options_.progress)
        options_.progress(static_cast<int64_t>(i + 1), static_cast<int64_t>(tensors.size()));
    }
    if (format_.algorithm != nullptr && !quantized_any_) {
      throw Error(ErrorCategory::kUsage, "--exclude_modules leaves no linear to quantize");
    }
    return std::move(plan_);
  }

 private:
  bool eligible(const ModelTensor& tensor) const {
    return tensor.lowest == Precision::kEightBit ||
           (tensor.role == Role::kLmHead && options_.quantize_lm_head);
  }

  // Readers take every linear that is not excluded for a quantized one.
  void exclude_routers() {
    for (const ModelTensor& tensor : model_tensors(*model_.architecture, model_.config)) {
      if (tensor.role == Role::kRouter) plan_.quantization.exclude_modules.push_back(tensor.module);
    }
  }

  void check_excludes() {
    for (const std::string& pattern : options_.exclude_modules) {
      bool matched = false;
      for (const ModelTensor& tensor : model_tensors(*model_.architecture, model_.config)) {
        matched |= module_matches(pattern, tensor.module);
      }
      if (!matched)
        warn(fmt::format("--exclude_modules: \"{}\" matches no module", printable(pattern)));
    }
  }

  void warn(std::string text) {
    log_warning("{}", text);
    plan_.warnings.push_back(std::move(text));
  }

  void plan_tensor(const ModelTensor& tensor) {
    const Tensor weight = read_tensor(*model_.weights, tensor.name);
    check_finite(tensor, weight);
    if (tensor.role == Role::kK && options_.fp8_kv_cache)
      plan_cache(tensor, "k_scale", statistics_.keys);
    if (tensor.role == Role::kV && options_.fp8_kv_cache)
      plan_cache(tensor, "v_scale", statistics_.values);
    const bool quantize = format_.algorithm != nullptr && eligible(tensor) &&
                          !is_excluded(plan_.quantization.exclude_modules, tensor.module);
    if (!quantize) return;
    quantized_any_ = true;
    const TensorStatistics of_weight = statistics_of_weight(tensor, weight);
    plan_.scales[tensor.module + ".weight_scale"] = format_.algorithm->scale(of_weight);
    if (of_weight.amax == 0.0f) warn(fmt::format("{}: all weights are zero", tensor.name));
    plan_.scales[tensor.module + ".input_scale"] =
        tensor.of_all_experts.empty()
            ? activation_scale(tensor.module, statistics_.inputs, tensor.module)
            : expert_scale(tensor);
  }

  // float32 and bfloat16 are observed as they are, float16 through its exact float32 values.
  TensorStatistics statistics_of_weight(const ModelTensor& tensor, const Tensor& weight) const {
    if (weight.dtype() != DType::kF16) return observe(weight.view()).statistics;
    return observe(read_tensor_as(*model_.weights, tensor.name, DType::kF32).view()).statistics;
  }

  void check_finite(const ModelTensor& tensor, const Tensor& weight) {
    if (!options_.allow_nonfinite)
      return require_finite(*model_.weights, tensor.name, weight.view(), kAllowNonFiniteHint);
    const NonFinite bad = count_nonfinite(weight.view());
    if (bad.count == 0) return;
    plan_.nonfinite[tensor.name] = bad;
    warn(fmt::format("{}: {} values are not finite", tensor.name, bad.count));
  }

  void plan_cache(const ModelTensor& tensor, const char* suffix,
                  const std::map<std::string, TensorStatistics>& seen) {
    const std::string attention = tensor.module.substr(0, tensor.module.rfind('.'));
    plan_.scales[tensor.module + "." + suffix] =
        activation_scale(attention, seen, tensor.module + "." + suffix);
  }

  // An expert that no token reached gets the scale of all inputs that the layer's other experts
  // saw: they read rows of the same distribution.
  float expert_scale(const ModelTensor& tensor) {
    const auto own = statistics_.inputs.find(tensor.module);
    if (own != statistics_.inputs.end() && own->second.amax > 0.0f)
      return activation_scale(tensor.module, statistics_.inputs, tensor.module);
    std::map<std::string, TensorStatistics> others;
    for (const auto& [module, statistics] : statistics_.inputs) {
      if (module_matches(tensor.of_all_experts, module))
        others[tensor.of_all_experts].merge(statistics);
    }
    warn(
        fmt::format("{}: no calibration token reached this expert; its input scale is the one of "
                    "the layer's other experts together",
                    tensor.module));
    return activation_scale(tensor.of_all_experts, others, tensor.module);
  }

  float activation_scale(const std::string& module,
                         const std::map<std::string, TensorStatistics>& seen,
                         const std::string& what) {
    const auto it = seen.find(module);
    if (it == seen.end() || it->second.amax == 0.0f) {
      warn(fmt::format("{}: never activated in calibration; its scale is 1", what));
      return 1.0f;
    }
    const TensorStatistics& statistics = it->second;
    const float scale =
        (format_.algorithm != nullptr ? *format_.algorithm : kMaxAlgorithm).scale(statistics);
    // Values up to 464 × scale round to 448; only beyond does saturation add to the error.
    if (statistics.share_above(scale * kE4M3RoundsToMax) > kClippedShareWarning) {
      warn(fmt::format("{}: more than 0.1 % of the calibration values are clipped", what));
    }
    if (statistics.amax > kOutlierWarning * statistics.median_bound()) {
      warn(
          fmt::format("{}: the largest value, {}, is more than 10000 times the median; small "
                      "values lose precision",
                      what, statistics.amax));
    }
    return scale;
  }

  const ModelDir& model_;
  const QuantFormat& format_;
  const CalibrationStatistics& statistics_;
  const PlanOptions& options_;
  QuantizationPlan plan_;
  bool quantized_any_ = false;
};

template <typename T>
void encode_as(const T* from, float scale, e4m3* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float value;
    if constexpr (std::is_same_v<T, float>) {
      value = from[i];
    } else {
      value = to_float(from[i]);
    }
    to[i] = to_e4m3(value / scale);
  }
}

}  // namespace

QuantizationPlan plan_quantization(const ModelDir& model, const QuantFormat& format,
                                   const CalibrationStatistics& statistics,
                                   const PlanOptions& options) {
  return Planner(model, format, statistics, options).run();
}

void encode_weights(const std::byte* from, DType from_dtype, float scale, std::byte* to,
                    int64_t count) {
  auto* codes = reinterpret_cast<e4m3*>(to);
  switch (from_dtype) {
    case DType::kF32:
      return encode_as(reinterpret_cast<const float*>(from), scale, codes, count);
    case DType::kBF16:
      return encode_as(reinterpret_cast<const bf16*>(from), scale, codes, count);
    case DType::kF16:
      return encode_as(reinterpret_cast<const f16*>(from), scale, codes, count);
    default:
      OCTAVO_CHECK(!"a 16-bit or float32 weight");
  }
}

QuantizedWeights::QuantizedWeights(std::shared_ptr<const WeightSource> source,
                                   const ModelDir& model, const QuantizationPlan& plan)
    : source_(std::move(source)), scales_(plan.scales.begin(), plan.scales.end()) {
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const auto scale = scales_.find(tensor.module + ".weight_scale");
    if (scale != scales_.end() && !tensor.is_bias()) weight_scale_of_[tensor.name] = scale->second;
  }
}

std::vector<std::string> QuantizedWeights::names() const {
  const std::vector<std::string> source_names = source_->names();
  std::set<std::string> names(source_names.begin(), source_names.end());
  for (const auto& [name, scale] : scales_) names.insert(name);
  return {names.begin(), names.end()};
}

std::optional<WeightInfo> QuantizedWeights::info(std::string_view name) const {
  if (scales_.contains(name)) return WeightInfo{DType::kF32, Shape{}};
  std::optional<WeightInfo> info = source_->info(name);
  if (info && weight_scale_of_.contains(name)) info->dtype = DType::kE4M3;
  return info;
}

void QuantizedWeights::read(std::string_view name, int64_t row_begin,
                            std::span<std::byte> destination) const {
  if (const auto scale = scales_.find(name); scale != scales_.end()) {
    std::copy_n(reinterpret_cast<const std::byte*>(&scale->second), sizeof(float),
                destination.data());
    return;
  }
  const auto scale = weight_scale_of_.find(name);
  if (scale == weight_scale_of_.end()) return source_->read(name, row_begin, destination);
  const WeightInfo info = *source_->info(name);
  const auto count = static_cast<int64_t>(destination.size());
  Tensor rows(info.dtype, {count});
  source_->read(name, row_begin, {rows.data(), static_cast<size_t>(rows.bytes())});
  encode_weights(rows.data(), info.dtype, scale->second, destination.data(), count);
}

}  // namespace octavo
