// Insertion of quantize calls and scales.
// SPDX-License-Identifier: Apache-2.0
#include "builder/apply_quantization.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "core/checked.h"
#include "numerics/scale.h"
#include "ops/quantize_dynamic.h"

namespace octavo {
namespace {

// Scales of one tensor, or of every tensor that a weight stacks.
TensorId add_scales(Draft& draft, const std::string& name, int64_t count, SymbolicShape shape) {
  draft.parts[name] = checkpoint_names(name, count);
  return draft.program.add(
      {.name = name, .kind = TensorKind::kWeight, .dtype = DType::kF32, .shape = std::move(shape)});
}

TensorId add_scale(Draft& draft, const std::string& name, int64_t count = 1) {
  return add_scales(draft, name, count, {Dim::constant(count)});
}

// A tensor's codes under static scales, one or one an expert, or of one way to make scales: they
// are made once.
struct Codes {
  TensorId scale = kNoTensor;
  TensorId codes = kNoTensor;
};
using CodesOf = std::map<std::tuple<TensorId, std::vector<float>, int64_t>, Codes>;

// Tensors of the checkpoint that the call's weight stacks.
int64_t stacked(const Program& program, const Call& call) {
  return call.op == Op::kGroupedLinear ? program.tensor(call.inputs[1]).shape[0].value : 1;
}

std::vector<float> read_scales(const WeightSource& source, const std::string& name, int64_t count) {
  std::vector<float> scales;
  for (const std::string& one : checkpoint_names(name, count))
    scales.push_back(read_scale(source, one));
  return scales;
}

class LinearQuantizer {
 public:
  LinearQuantizer(Draft& draft, const WeightSource& source,
                  const CheckpointQuantization& quantization)
      : draft_(draft), program_(draft.program), source_(source), quantization_(quantization) {}

  void run() {
    for (Call& call : program_.calls) {
      if (call.op == Op::kLinear || call.op == Op::kGroupedLinear) quantize(call);
      calls_.push_back(std::move(call));
    }
    program_.calls = std::move(calls_);
  }

 private:
  void quantize(Call& call) {
    const LinearScheme scheme = scheme_of(call);
    if (!scheme.quantized()) return;
    if (scheme.inputs.quantized()) quantize_input(call, scheme.inputs);
    quantize_weight(call, scheme.weights);
  }

  // 16-bit where the weight is. Experts that run as one call must be of one scheme.
  LinearScheme scheme_of(const Call& call) const {
    const int64_t count = stacked(program_, call);
    const std::vector<std::string> names =
        checkpoint_names(program_.tensor(call.inputs[1]).name, count);
    const std::vector<std::string> modules = checkpoint_names(call.module, count);
    std::vector<LinearScheme> schemes;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::optional<WeightInfo> info = source_.info(names[i]);
      const bool codes = info && is_code(info->dtype);
      schemes.push_back(codes ? quantization_.scheme_of(modules[i]) : LinearScheme{});
      if (schemes[i] != schemes[0]) {
        throw unsupported(source_.file_of(names[i]), modules[i],
                          fmt::format("expected all experts of a layer in one precision, got {} "
                                      "beside {}",
                                      to_string(schemes[i]), to_string(schemes[0])));
      }
    }
    return schemes.front();
  }

  void quantize_weight(Call& call, const QuantScheme& scheme) {
    const int64_t count = stacked(program_, call);
    const std::string name = weight_scale_name(call.module);
    ProgramTensor& weight = program_.tensor(call.inputs[1]);
    const bool stack = weight.shape.size() == 3;
    Dim& rows = weight.shape[stack ? 1 : 0];
    const Shape scales = scale_shape(scheme, rows.value, weight.shape.back().value);
    for (const std::string& one : checkpoint_names(name, count)) check_scales(source_, one, scales);
    weight.dtype = scheme.element;
    rows.value = ceil_div(rows.value, rows_in_row(scheme.element));
    if (scales.rank() == 0) {
      call.inputs[3] = add_scale(draft_, name, count);
      return;
    }
    auto& params = std::get<LinearParams>(call.params);
    params.block_rows = scheme.block_rows;
    params.block_columns = scheme.block_columns;
    SymbolicShape shape = {Dim::constant(scales[0]), Dim::constant(scales[1])};
    if (stack) shape.insert(shape.begin(), Dim::constant(count));
    call.inputs[3] = add_scales(draft_, name, count, std::move(shape));
  }

  // The quantize call that must stand before `call`, unless an earlier one serves.
  void quantize_input(Call& call, const QuantScheme& scheme) {
    const TensorId x = call.inputs[0];
    const std::string name = input_scale_name(call.module);
    const int64_t count = stacked(program_, call);
    std::vector<float> values;
    if (!scheme.dynamic) values = read_scales(source_, name, count);
    Codes& made = made_[{x, values, scheme.block_columns}];
    if (made.codes == kNoTensor) {
      made.codes = add_codes(x);
      made.scale = scheme.dynamic ? add_dynamic_scale(x, scheme) : add_scale(draft_, name, count);
      calls_.push_back(scheme.dynamic ? dynamic_call(call, made, scheme) : static_call(call, made));
    }
    call.inputs[0] = made.codes;
    call.inputs[2] = made.scale;
  }

  TensorId add_codes(TensorId x) {
    ProgramTensor tensor = program_.tensor(x);
    tensor.name += ".codes";
    tensor.dtype = DType::kE4M3;
    tensor.base = kNoTensor;
    return program_.add(std::move(tensor));
  }

  TensorId add_dynamic_scale(TensorId x, const QuantScheme& scheme) {
    ProgramTensor tensor = program_.tensor(x);
    const int64_t width = scheme.block_columns;
    tensor.name += ".scale";
    tensor.dtype = DType::kF32;
    tensor.base = kNoTensor;
    tensor.shape[1] = Dim::constant(width == 0 ? 1 : ceil_div(tensor.shape[1].value, width));
    return program_.add(std::move(tensor));
  }

  static Call static_call(const Call& of, const Codes& made) {
    Call call{.op = Op::kQuantize,
              .params = {},
              .inputs = {of.inputs[0], made.scale},
              .outputs = {made.codes},
              .layer = of.layer,
              .role = of.role,
              .module = of.module};
    if (of.op == Op::kGroupedLinear) {
      call.op = Op::kGroupedQuantize;
      call.inputs.push_back(of.inputs[4]);
    }
    return call;
  }

  Call dynamic_call(const Call& of, const Codes& made, const QuantScheme& scheme) const {
    return {.op = Op::kQuantizeDynamic,
            .params = quantize_params(scheme, quantization_.clamp),
            .inputs = {of.inputs[0]},
            .outputs = {made.scale, made.codes},
            .layer = of.layer,
            .role = of.role,
            .module = of.module};
  }

  Draft& draft_;
  Program& program_;
  const WeightSource& source_;
  const CheckpointQuantization& quantization_;
  CodesOf made_;
  std::vector<Call> calls_;
};

}  // namespace

std::string weight_scale_name(const std::string& module) { return module + ".weight_scale"; }
std::string input_scale_name(const std::string& module) { return module + ".input_scale"; }
std::string k_scale_name(const std::string& attention) { return attention + ".k_proj.k_scale"; }
std::string v_scale_name(const std::string& attention) { return attention + ".v_proj.v_scale"; }

float read_scale(const WeightSource& source, const std::string& name) {
  const std::optional<WeightInfo> info = source.info(name);
  const std::string file = source.file_of(name);
  if (!info) throw bad_file(file, name, "expected a calibrated scale, got none");
  if (info->shape.elements() != 1)
    throw bad_file(file, name, "expected one element, got " + to_string(info->shape));
  const Tensor scale = read_tensor_as(source, name, DType::kF32);
  if (!valid_scale(*scale.as<float>())) {
    throw bad_file(file, name,
                   fmt::format("expected a finite positive scale, got {}", *scale.as<float>()));
  }
  return *scale.as<float>();
}

void check_scales(const WeightSource& source, const std::string& name, const Shape& shape) {
  if (shape.rank() == 0) return static_cast<void>(read_scale(source, name));
  const std::optional<WeightInfo> info = source.info(name);
  if (!info) throw bad_file(source.file_of(name), name, "expected scales, got none");
  if (info->shape != shape)
    throw bad_file(source.file_of(name), name,
                   fmt::format("expected {}, got {}", to_string(shape), to_string(info->shape)));
  const Tensor scales = read_tensor_as(source, name, DType::kF32);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    if (!valid_scale(scales.as<float>()[i]))
      throw bad_file(source.file_of(name), name,
                     fmt::format("expected finite positive scales, got {} at index {}",
                                 scales.as<float>()[i], i));
  }
}

void quantize_linears(Draft& draft, const WeightSource& source,
                      const CheckpointQuantization& quantization) {
  LinearQuantizer(draft, source, quantization).run();
}

void quantize_kv_cache(Draft& draft, const WeightSource& source) {
  Program& program = draft.program;
  std::map<std::string, std::pair<TensorId, TensorId>> scales;
  for (Call& call : program.calls) {
    if (call.op != Op::kKvAppend && call.op != Op::kAttention) continue;
    auto [it, added] = scales.try_emplace(call.module);
    if (added) {
      const std::string k = k_scale_name(call.module), v = v_scale_name(call.module);
      if (!source.info(k) || !source.info(v)) {
        throw unsupported(source.file_of(k), source.info(k) ? v : k,
                          "an FP8 KV cache needs calibrated scales, and this checkpoint has none: "
                          "run `octavo quantize "
                          "--kv_cache_dtype fp8`");
      }
      read_scale(source, k), read_scale(source, v);
      it->second = {add_scale(draft, k), add_scale(draft, v)};
    }
    const size_t k_operand = call.op == Op::kKvAppend ? 3 : 7;
    call.inputs[k_operand] = it->second.first;
    call.inputs[k_operand + 1] = it->second.second;
  }
  for (ProgramTensor& tensor : program.tensors) {
    if (tensor.kind == TensorKind::kCache) tensor.dtype = DType::kE4M3;
  }
}

}  // namespace octavo
