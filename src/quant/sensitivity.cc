// Errors of single linears.
// SPDX-License-Identifier: Apache-2.0
#include "quant/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "core/host_device.h"
#include "numerics/bf16.h"
#include "numerics/scale.h"
#include "ops/grouped_linear.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

float load(const TensorView& view, int64_t row, int64_t column) {
  return view.dtype == DType::kF32 ? view.row<float>(row)[column]
                                   : to_float(view.row<bf16>(row)[column]);
}

Tensor quantize_rows(const TensorView& x, float scale) {
  Tensor codes(DType::kE4M3, {x.rows(), x.columns()});
  const float inverse = inverse_scale(scale);
  for (int64_t row = 0; row < x.rows(); ++row) {
    for (int64_t column = 0; column < x.columns(); ++column) {
      codes.view().row<e4m3>(row)[column] = quantize(load(x, row, column), inverse);
    }
  }
  return codes;
}

Tensor scalar(float value) {
  Tensor tensor(DType::kF32, {1});
  *tensor.as<float>() = value;
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

// The linear again on E4M3 operands, with the plan's scales.
Tensor quantized_linear(const LinearArgs& args, float input_scale, float weight_scale,
                        const KernelRegistry& registry, ThreadPool& pool) {
  const TensorView& weight = args.weight;
  const Tensor x = quantize_rows(args.x, input_scale);
  Tensor codes(DType::kE4M3, weight.shape);
  encode_weights(weight.data, weight.dtype, weight_scale, codes.data(), weight.elements());
  const Tensor y(DType::kF32, args.y.shape), sx = scalar(input_scale), sw = scalar(weight_scale);
  const TensorView inputs[] = {x.view(), codes.view(), sx.view(), sw.view(), args.bias};
  const TensorView outputs[] = {y.view()};
  const OpParams params = *args.params;
  Problem problem{.op = Op::kLinear, .params = params};
  for (const TensorView& input : inputs)
    problem.inputs.push_back({input.shape, input.dtype, input.defined()});
  problem.outputs.push_back({y.shape(), y.dtype(), true});
  const Kernel& kernel = *registry.candidates(problem, DeviceType::kCpu).front();
  std::vector<std::byte> workspace(
      kernel.workspace == nullptr ? 0 : static_cast<size_t>(kernel.workspace(problem)));
  kernel.run({.inputs = inputs, .outputs = outputs, .params = &params},
             {.pool = &pool, .workspace = workspace});
  return y;
}

}  // namespace

std::vector<std::pair<std::string, double>> linear_errors(const ModelDir& model,
                                                          const QuantizationPlan& plan,
                                                          const std::vector<int32_t>& sample,
                                                          const KernelRegistry& registry,
                                                          ThreadPool& pool) {
  std::vector<std::pair<std::string, double>> errors;
  const auto compare = [&](const std::string& module, const LinearArgs& args) {
    const auto weight_scale = plan.scales.find(module + ".weight_scale");
    if (weight_scale == plan.scales.end()) return;
    const Tensor y = quantized_linear(args, plan.scales.at(module + ".input_scale"),
                                      weight_scale->second, registry, pool);
    errors.emplace_back(module, relative_error(args.y, y.view()));
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
