// Insertion of quantize calls and scales.
// SPDX-License-Identifier: Apache-2.0
#include "builder/apply_quantization.h"

#include <algorithm>
#include <map>

#include "numerics/scale.h"

namespace octavo {
namespace {

TensorId add_scale(Program& program, const std::string& name, int64_t count = 1) {
  return program.add({.name = name,
                      .kind = TensorKind::kWeight,
                      .dtype = DType::kF32,
                      .shape = {Dim::constant(count)}});
}

// A scale of every tensor that a weight stacks.
TensorId add_scales(Draft& draft, const std::string& name, int64_t count) {
  draft.parts[name] = checkpoint_names(name, count);
  return add_scale(draft.program, name, count);
}

// A tensor's E4M3 codes under one scale, or one an expert: they are made once.
struct Codes {
  TensorId scale = kNoTensor;
  TensorId codes = kNoTensor;
};
using CodesOf = std::map<std::pair<TensorId, std::vector<float>>, Codes>;

bool is_linear(const Call& call) { return call.op == Op::kLinear || call.op == Op::kGroupedLinear; }

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

// Experts that run as one call must be of one type.
bool is_e4m3(const Program& program, const Call& call, const WeightSource& source) {
  const std::vector<std::string> names =
      checkpoint_names(program.tensor(call.inputs[1]).name, stacked(program, call));
  const auto codes = std::ranges::count_if(names, [&](const std::string& name) {
    const std::optional<WeightInfo> info = source.info(name);
    return info && info->dtype == DType::kE4M3;
  });
  if (codes != 0 && codes != std::ssize(names)) {
    throw unsupported(source.file_of(names.front()), call.module,
                      fmt::format("expected all experts of a layer in one precision, got {} of {} "
                                  "in float8_e4m3",
                                  codes, names.size()));
  }
  return codes != 0;
}

// The quantize call that must stand before `call`, or nothing where an earlier one serves.
std::vector<Call> quantize_input(Draft& draft, Call& call, const WeightSource& source,
                                 CodesOf& made) {
  Program& program = draft.program;
  const TensorId x = call.inputs[0];
  const std::string name = input_scale_name(call.module);
  const int64_t count = stacked(program, call);
  Codes& codes = made[{x, read_scales(source, name, count)}];
  std::vector<Call> before;
  if (codes.codes == kNoTensor) {
    codes.scale = add_scales(draft, name, count);
    ProgramTensor tensor = program.tensor(x);
    tensor.name += ".codes";
    tensor.dtype = DType::kE4M3;
    tensor.base = kNoTensor;
    codes.codes = program.add(std::move(tensor));
    const bool grouped = call.op == Op::kGroupedLinear;
    before.push_back({.op = grouped ? Op::kGroupedQuantize : Op::kQuantize,
                      .params = {},
                      .inputs = grouped ? std::vector{x, codes.scale, call.inputs[4]}
                                        : std::vector{x, codes.scale},
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
    if (is_linear(call) && is_e4m3(program, call, source)) {
      for (Call& before : quantize_input(draft, call, source, made))
        calls.push_back(std::move(before));
      const std::string name = weight_scale_name(call.module);
      const int64_t count = stacked(program, call);
      read_scales(source, name, count);
      program.tensor(call.inputs[1]).dtype = DType::kE4M3;
      call.inputs[3] = add_scales(draft, name, count);
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
