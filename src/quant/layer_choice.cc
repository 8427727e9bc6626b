// Weights of two models of one shape, chosen layer by layer.
// SPDX-License-Identifier: Apache-2.0
#include "quant/layer_choice.h"

#include <algorithm>
#include <map>

namespace octavo {
namespace {

constexpr std::string_view kLayers = "model.layers.";

class LayerChoice final : public WeightSource {
 public:
  LayerChoice(std::shared_ptr<const WeightSource> own, std::shared_ptr<const WeightSource> other,
              std::set<std::string> layers_of_other)
      : own_(std::move(own)), other_(std::move(other)), layers_(std::move(layers_of_other)) {}

  std::vector<std::string> names() const override {
    std::set<std::string> names;
    for (const auto& source : {own_, other_}) {
      for (std::string& name : source->names()) {
        if (&of(name) == source.get()) names.insert(std::move(name));
      }
    }
    return {names.begin(), names.end()};
  }
  std::optional<WeightInfo> info(std::string_view name) const override {
    return of(name).info(name);
  }
  std::string file_of(std::string_view name) const override { return of(name).file_of(name); }
  void verify_unchanged() const override {
    own_->verify_unchanged();
    other_->verify_unchanged();
  }
  std::optional<FillPattern> fill_of(std::string_view name) const override {
    return of(name).fill_of(name);
  }
  void read(std::string_view name, int64_t row_begin,
            std::span<std::byte> destination) const override {
    of(name).read(name, row_begin, destination);
  }

 private:
  const WeightSource& of(std::string_view name) const {
    return layers_.contains(layer_of(name)) ? *other_ : *own_;
  }

  std::shared_ptr<const WeightSource> own_, other_;
  std::set<std::string> layers_;
};

uint64_t bytes_of(const WeightSource& weights) {
  uint64_t bytes = 0;
  for (const std::string& name : weights.names()) {
    const WeightInfo info = *weights.info(name);
    bytes += static_cast<uint64_t>(info.shape.elements() * size_of(info.dtype));
  }
  return bytes;
}

ModelDir with_weights(ModelDir model, std::shared_ptr<const WeightSource> weights) {
  model.weights = std::move(weights);
  model.weight_bytes = bytes_of(*model.weights);
  return model;
}

void require_same_shape(const ModelDir& a, const ModelDir& b) {
  const auto names_and_shapes = [](const ModelDir& model) {
    std::map<std::string, Shape> tensors;
    for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config))
      tensors[tensor.name] = tensor.shape;
    return tensors;
  };
  if (names_and_shapes(a) != names_and_shapes(b))
    throw unsupported(b.path.string(), "",
                      fmt::format("its tensors are not those of {}", printable(a.path.string())));
}

bool is_linear_scale(std::string_view name) {
  return name.ends_with(".weight_scale") || name.ends_with(".input_scale");
}

}  // namespace

std::string layer_of(std::string_view tensor) {
  if (!tensor.starts_with(kLayers)) return std::string(tensor.substr(0, tensor.rfind('.')));
  return std::string(tensor.substr(0, tensor.find('.', kLayers.size())));
}

std::vector<std::string> quantized_layers(const ModelDir& model) {
  std::vector<std::string> layers;
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config)) {
    const std::optional<WeightInfo> info = model.weights->info(tensor.name);
    if (!info || !is_code(info->dtype)) continue;
    std::string layer = layer_of(tensor.name);
    if (std::ranges::find(layers, layer) == layers.end()) layers.push_back(std::move(layer));
  }
  return layers;
}

ModelDir quantized_model(const ModelDir& model, const QuantizationPlan& plan) {
  ModelDir quantized =
      with_weights(model, std::make_shared<QuantizedWeights>(model.weights, model, plan));
  quantized.quantization = plan.quantization;
  return quantized;
}

ModelDir with_layers_of(const ModelDir& original, const ModelDir& quantized,
                        const std::set<std::string>& layers) {
  require_same_shape(original, quantized);
  ModelDir mixed = with_weights(
      original, std::make_shared<LayerChoice>(original.weights, quantized.weights, layers));
  mixed.quantization = quantized.quantization;
  mixed.quantization.kv_cache.reset();
  for (std::string& layer : quantized_layers(quantized)) {
    if (!layers.contains(layer)) mixed.quantization.exclude_modules.push_back(std::move(layer));
  }
  return mixed;
}

ModelDir with_original_layers(const ModelDir& original, const ModelDir& prepared,
                              const std::set<std::string>& layers) {
  if (original.weights == prepared.weights || layers.empty()) return prepared;
  return with_weights(prepared,
                      std::make_shared<LayerChoice>(prepared.weights, original.weights, layers));
}

QuantizationPlan without_layers(QuantizationPlan plan, const std::set<std::string>& layers) {
  std::erase_if(plan.scales, [&](const auto& entry) {
    return is_linear_scale(entry.first) && layers.contains(layer_of(entry.first));
  });
  CheckpointQuantization& quantization = plan.quantization;
  std::erase_if(quantization.modules, [&](const ModuleScheme& own) {
    return layers.contains(layer_of(own.pattern + "."));
  });
  quantization.exclude_modules.insert(quantization.exclude_modules.end(), layers.begin(),
                                      layers.end());
  const bool any = std::ranges::any_of(
      plan.scales, [](const auto& entry) { return is_linear_scale(entry.first); });
  if (!any) quantization.weights = quantization.inputs = {};
  return plan;
}

}  // namespace octavo
