// Insertion of quantize calls and scales.
// SPDX-License-Identifier: Apache-2.0
#include "builder/apply_quantization.h"

#include <map>

#include "numerics/scale.h"

namespace octavo {
namespace {

TensorId add_scale(Program& program, const std::string& name) {
  return program.add({.name = name,
                      .kind = TensorKind::kWeight,
                      .dtype = DType::kF32,
                      .shape = {Dim::constant(1)}});
}

// A tensor's E4M3 codes under one scale: they are made once.
struct Codes {
  TensorId scale = kNoTensor;
  TensorId codes = kNoTensor;
};
using CodesOf = std::map<std::pair<TensorId, float>, Codes>;

// The quantize call that must stand before `call`, or nothing where an earlier one serves.
std::vector<Call> quantize_input(Program& program, Call& call, const WeightSource& source,
                                 CodesOf& made) {
  const TensorId x = call.inputs[0];
  const std::string name = input_scale_name(call.module);
  Codes& codes = made[{x, read_scale(source, name)}];
  std::vector<Call> before;
  if (codes.codes == kNoTensor) {
    codes.scale = add_scale(program, name);
    ProgramTensor tensor = program.tensor(x);
    tensor.name += ".codes";
    tensor.dtype = DType::kE4M3;
    tensor.base = kNoTensor;
    codes.codes = program.add(std::move(tensor));
    before.push_back({.op = Op::kQuantize,
                      .params = {},
                      .inputs = {x, codes.scale},
                      .outputs = {codes.codes},
                      .layer = call.layer,
                      .role = call.role,
                      .module = call.module});
  }
  call.inputs[0] = codes.codes;
  call.inputs[2] = codes.scale;
  return before;
}

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

void quantize_linears(Draft& draft, const WeightSource& source) {
  Program& program = draft.program;
  CodesOf made;
  std::vector<Call> calls;
  for (Call& call : program.calls) {
    if (call.op == Op::kLinear) {
      const std::optional<WeightInfo> info = source.info(program.tensor(call.inputs[1]).name);
      if (info && info->dtype == DType::kE4M3) {
        for (Call& before : quantize_input(program, call, source, made))
          calls.push_back(std::move(before));
        read_scale(source, weight_scale_name(call.module));
        program.tensor(call.inputs[1]).dtype = DType::kE4M3;
        call.inputs[3] = add_scale(program, weight_scale_name(call.module));
      }
    }
    calls.push_back(std::move(call));
  }
  program.calls = std::move(calls);
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
      it->second = {add_scale(program, k), add_scale(program, v)};
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
