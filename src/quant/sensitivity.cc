// Errors of single linears.
// SPDX-License-Identifier: Apache-2.0
#include "quant/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "core/host_device.h"
#include "numerics/bf16.h"
#include "ops/grouped_linear.h"
#include "ops/quantize_dynamic.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

float load(const TensorView& view, int64_t row, int64_t column) {
  return view.dtype == DType::kF32 ? view.row<float>(row)[column]
                                   : to_float(view.row<bf16>(row)[column]);
}

Tensor scale_tensor(const ScaleTensor& scales) {
  Tensor tensor(DType::kF32, scales.shape.rank() == 0 ? Shape{1} : scales.shape);
  std::copy(scales.values.begin(), scales.values.end(), tensor.as<float>());
  return tensor;
}

double relative_error(const TensorView& expected, const TensorView& actual) {
  double error = 0.0, norm = 0.0;
  for (int64_t row = 0; row < expected.rows(); ++row) {
    for (int64_t column = 0; column < expected.columns(); ++column) {
      const double y = load(expected, row, column);
      const double difference = load(actual, row, column) - y;
      error += difference * difference;
      norm += y * y;
    }
  }
  return norm > 0.0 ? std::sqrt(error / norm) : 0.0;
}

// One call by the first kernel that takes it.
void run_call(Op op, const OpParams& params, std::span<const TensorView> inputs,
              std::span<const TensorView> outputs, const KernelRegistry& registry,
              ThreadPool& pool) {
  Problem problem{.op = op, .params = params};
  for (const TensorView& input : inputs)
    problem.inputs.push_back({input.shape, input.dtype, input.defined()});
  for (const TensorView& output : outputs)
    problem.outputs.push_back({output.shape, output.dtype, true});
  const Kernel& kernel = *registry.candidates(problem, DeviceType::kCpu).front();
  std::vector<std::byte> workspace(
      kernel.workspace == nullptr ? 0 : static_cast<size_t>(kernel.workspace(problem)));
  kernel.run({.inputs = inputs, .outputs = outputs, .params = &params},
             {.pool = &pool, .workspace = workspace});
}

// Linears again on quantized operands, with a plan's scales.
class QuantizedLinear {
 public:
  QuantizedLinear(const QuantizationPlan& plan, const KernelRegistry& registry, ThreadPool& pool)
      : plan_(plan), registry_(registry), pool_(pool) {}

  Tensor run(const std::string& module, const LinearArgs& args) const {
    const LinearScheme scheme = plan_.quantization.scheme_of(module);
    const ScaleTensor& scales = plan_.scales.at(module + ".weight_scale");
    const TensorView& weight = args.weight;
    const Tensor codes(scheme.weights.element, stored_shape(weight.shape, scheme.weights.element));
    encode_rows(weight, 0, scheme.weights, scales, codes.data());
    const auto [x, x_scale] = quantized_input(module, args.x, scheme.inputs);
    const Tensor y(DType::kF32, args.y.shape), w_scale = scale_tensor(scales);
    const OpParams params = LinearParams{.block_rows = scheme.weights.block_rows,
                                         .block_columns = scheme.weights.block_columns};
    const TensorView inputs[] = {x.defined() ? x.view() : args.x, codes.view(), x_scale.view(),
                                 w_scale.view(), args.bias};
    const TensorView outputs[] = {y.view()};
    run_call(Op::kLinear, params, inputs, outputs, registry_, pool_);
    return y;
  }

 private:
  // Codes and scale; neither where the input stays as it is.
  std::pair<Tensor, Tensor> quantized_input(const std::string& module, const TensorView& x,
                                            const QuantScheme& scheme) const {
    if (!scheme.quantized()) return {};
    Tensor codes(DType::kE4M3, x.shape);
    if (!scheme.dynamic) {
      Tensor scale = scale_tensor(plan_.scales.at(module + ".input_scale"));
      const TensorView inputs[] = {x, scale.view()}, outputs[] = {codes.view()};
      run_call(Op::kQuantize, {}, inputs, outputs, registry_, pool_);
      return {codes, scale};
    }
    Tensor scale(DType::kF32, {x.rows(), scale_shape(scheme, x.rows(), x.columns())[1]});
    const TensorView inputs[] = {x}, outputs[] = {scale.view(), codes.view()};
    run_call(Op::kQuantizeDynamic, quantize_params(scheme, plan_.quantization.clamp), inputs,
             outputs, registry_, pool_);
    return {codes, scale};
  }

  const QuantizationPlan& plan_;
  const KernelRegistry& registry_;
  ThreadPool& pool_;
};

}  // namespace

std::vector<std::pair<std::string, double>> linear_errors(const ModelDir& model,
                                                          const QuantizationPlan& plan,
                                                          const std::vector<int32_t>& sample,
                                                          const KernelRegistry& registry,
                                                          ThreadPool& pool) {
  std::vector<std::pair<std::string, double>> errors;
  const QuantizedLinear linear(plan, registry, pool);
  const auto compare = [&](const std::string& module, const LinearArgs& args) {
    if (!plan.scales.contains(module + ".weight_scale")) return;
    const double error = relative_error(args.y, linear.run(module, args).view());
    if (!std::isfinite(error))
      throw bad_file(model.path.string(), module, "quantized, its output is not finite");
    errors.emplace_back(module, error);
  };
  const auto observer = [&](const Call& call, const Operands& operands) {
    if (call.op == Op::kLinear) compare(call.module, LinearArgs::bind(operands));
    if (call.op != Op::kGroupedLinear) return;
    const auto args = GroupedLinearArgs::bind(operands);
    const std::vector<std::string> modules = checkpoint_names(call.module, args.experts());
    for (int64_t expert = 0; expert < args.experts(); ++expert) {
      if (args.begin(expert) < args.end(expert))
        compare(modules[static_cast<size_t>(expert)], args.expert(expert));
    }
  };
  HostDevice device(pool);
  calibrate(model, {sample}, registry, device, {.allow_nonfinite = true, .observer = observer});
  std::stable_sort(errors.begin(), errors.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return errors;
}

}  // namespace octavo
