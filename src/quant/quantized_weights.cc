// Encoding of weights on the fly.
// SPDX-License-Identifier: Apache-2.0
#include "quant/quantized_weights.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "core/log.h"
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
    linears_ = linears_to_quantize(model_, format_, options_);
    if (options_.module_formats.empty()) {
      plan_.quantization.weights = format_.linears.weights;
      plan_.quantization.inputs = format_.linears.inputs;
    } else {
      for (const auto& [module, scheme] : linears_)
        plan_.quantization.modules.push_back({module, scheme});
    }
    plan_.quantization.clamp = options_.clamp;
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
    if (format_.algorithm != nullptr && linears_.empty()) {
      throw Error(ErrorCategory::kUsage, "--exclude_modules leaves no linear to quantize");
    }
    return std::move(plan_);
  }

 private:
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
    const auto linear = linears_.find(tensor.module);
    if (linear == linears_.end() || tensor.shape.rank() != 2) return;
    const LinearScheme& scheme = linear->second;
    plan_.scales[tensor.module + ".weight_scale"] = weight_scales(tensor, weight, scheme.weights);
    if (scheme.inputs.quantized() && !scheme.inputs.dynamic)
      plan_.scales[tensor.module + ".input_scale"] = ScaleTensor::scalar(
          tensor.of_all_experts.empty()
              ? activation_scale(tensor.module, statistics_.inputs, tensor.module)
              : expert_scale(tensor));
  }

  ScaleTensor weight_scales(const ModelTensor& tensor, const Tensor& weight,
                            const QuantScheme& scheme) {
    ScaleTensor scales{.shape = scale_shape(scheme, tensor.shape[0], tensor.shape[1]),
                       .values = block_amax(weight.view(), scheme)};
    const auto zero = std::count(scales.values.begin(), scales.values.end(), 0.0f);
    if (zero == std::ssize(scales.values)) {
      warn(fmt::format("{}: all weights are zero", tensor.name));
    } else if (zero > 0) {
      warn(fmt::format("{}: the weights of {} of its {} scales are all zero", tensor.name, zero,
                       scales.values.size()));
    }
    for (float& value : scales.values) value = safe_scale(value, largest_code(scheme.element));
    return scales;
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
        ScaleTensor::scalar(activation_scale(attention, seen, tensor.module + "." + suffix));
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
  std::map<std::string, LinearScheme> linears_;  // that are quantized
};

}  // namespace

std::map<std::string, LinearScheme> linears_to_quantize(const ModelDir& model,
                                                        const QuantFormat& format,
                                                        const PlanOptions& options) {
  std::map<std::string, LinearScheme> linears;
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const bool head = tensor.role == Role::kLmHead;
    const bool eligible =
        tensor.lowest == Precision::kEightBit || (head && options.quantize_lm_head);
    if (!eligible || tensor.shape.rank() != 2 ||
        is_excluded(options.exclude_modules, tensor.module))
      continue;
    const auto own =
        std::find_if(options.module_formats.begin(), options.module_formats.end(),
                     [&](const auto& entry) { return module_matches(entry.first, tensor.module); });
    const LinearScheme scheme =
        own == options.module_formats.end() ? format.linears : own->second->linears;
    const bool fits = tensor.shape[0] % rows_in_row(scheme.weights.element) == 0;
    if (scheme.quantized() && fits) linears[tensor.module] = scheme;
  }
  return linears;
}

QuantizationPlan plan_quantization(const ModelDir& model, const QuantFormat& format,
                                   const CalibrationStatistics& statistics,
                                   const PlanOptions& options) {
  return Planner(model, format, statistics, options).run();
}

QuantizedWeights::QuantizedWeights(std::shared_ptr<const WeightSource> source,
                                   const ModelDir& model, const QuantizationPlan& plan)
    : source_(std::move(source)), scales_(plan.scales) {
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const auto scales = scales_.find(tensor.module + ".weight_scale");
    if (scales == scales_.end() || tensor.shape.rank() != 2) continue;
    encodings_[tensor.name] = {plan.quantization.scheme_of(tensor.module).weights, &scales->second};
  }
}

std::vector<std::string> QuantizedWeights::names() const {
  const std::vector<std::string> source_names = source_->names();
  std::set<std::string> names(source_names.begin(), source_names.end());
  for (const auto& [name, scale] : scales_) names.insert(name);
  return {names.begin(), names.end()};
}

std::optional<WeightInfo> QuantizedWeights::info(std::string_view name) const {
  if (const auto scale = scales_.find(name); scale != scales_.end())
    return WeightInfo{DType::kF32, scale->second.shape};
  std::optional<WeightInfo> info = source_->info(name);
  const auto encoding = encodings_.find(name);
  if (info && encoding != encodings_.end())
    info = WeightInfo{encoding->second.scheme.element,
                      stored_shape(info->shape, encoding->second.scheme.element)};
  return info;
}

void QuantizedWeights::read(std::string_view name, int64_t row_begin,
                            std::span<std::byte> destination) const {
  if (const auto scale = scales_.find(name); scale != scales_.end()) {
    const ScaleTensor& scales = scale->second;
    const int64_t columns = scales.shape.rank() == 0 ? 1 : scales.shape[1];
    std::memcpy(destination.data(), scales.values.data() + row_begin * columns, destination.size());
    return;
  }
  const auto encoding = encodings_.find(name);
  if (encoding == encodings_.end()) return source_->read(name, row_begin, destination);
  const auto& [scheme, scales] = encoding->second;
  const WeightInfo info = *source_->info(name);
  const int64_t columns = info.shape[1], pair = rows_in_row(scheme.element);
  Tensor rows(info.dtype, {static_cast<int64_t>(destination.size()) / columns * pair, columns});
  source_->read(name, row_begin * pair, {rows.data(), static_cast<size_t>(rows.bytes())});
  encode_rows(rows.view(), row_begin * pair, scheme, *scales, destination.data());
}

}  // namespace octavo
