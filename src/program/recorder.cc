// Recording of unfused calls.
// SPDX-License-Identifier: Apache-2.0
#include "program/recorder.h"

#include "program/batch.h"

namespace octavo {

TensorId Recorder::input(std::string_view name, SymbolicShape shape, DType dtype) {
  return program_.add({.name = std::string(name),
                       .kind = TensorKind::kInput,
                       .dtype = dtype,
                       .shape = std::move(shape)});
}

TensorId Recorder::weight(const std::string& name, const Shape& shape) {
  SymbolicShape dims;
  for (const int64_t dim : shape.dims()) dims.push_back(Dim::constant(dim));
  return program_.add(
      {.name = name, .kind = TensorKind::kWeight, .dtype = dtype_, .shape = std::move(dims)});
}

TensorId Recorder::literal(const std::string& name, std::vector<float> values) {
  const TensorId id = program_.add({.name = name,
                                    .kind = TensorKind::kWeight,
                                    .dtype = DType::kF32,
                                    .shape = {Dim::constant(static_cast<int64_t>(values.size()))}});
  program_.literals[id] = std::move(values);
  return id;
}

TensorId Recorder::cache(const std::string& name, SymbolicShape shape) {
  return program_.add(
      {.name = name, .kind = TensorKind::kCache, .dtype = dtype_, .shape = std::move(shape)});
}

TensorId Recorder::record(Op op, OpParams params, std::vector<TensorId> inputs, Role role,
                          const std::string& module) {
  return record_all(op, std::move(params), std::move(inputs), role, module).front();
}

std::vector<TensorId> Recorder::record_all(Op op, OpParams params, std::vector<TensorId> inputs,
                                           Role role, const std::string& module) {
  std::vector<OperandSpec> specs;
  for (const TensorId id : inputs) specs.push_back(program_.spec(id));
  const std::vector<SymbolicShape> shapes = op_info(op).infer(specs, params);
  std::vector<TensorId> outputs;
  for (const SymbolicShape& shape : shapes) {
    const bool is_index = outputs.size() < op_info(op).index_outputs;
    outputs.push_back(program_.add({.name = fmt::format("t{}", program_.tensors.size()),
                                    .kind = TensorKind::kActivation,
                                    .dtype = is_index ? DType::kI32 : dtype_,
                                    .shape = shape}));
  }
  program_.calls.push_back({.op = op,
                            .params = std::move(params),
                            .inputs = std::move(inputs),
                            .outputs = outputs,
                            .layer = layer_,
                            .role = role,
                            .module = module});
  return outputs;
}

TensorId Recorder::embedding(TensorId ids, TensorId table, const std::string& module) {
  return record(Op::kEmbedding, {}, {ids, table}, Role::kEmbedding, module);
}

TensorId Recorder::rms_norm(TensorId x, TensorId weight, float epsilon, Role role,
                            const std::string& module) {
  return record(Op::kRmsNorm, RmsNormParams{epsilon}, {x, weight, kNoTensor}, role, module);
}

TensorId Recorder::linear(TensorId x, TensorId weight, TensorId bias, Role role,
                          const std::string& module) {
  return record(Op::kLinear, LinearParams{}, {x, weight, kNoTensor, kNoTensor, bias}, role, module);
}

TensorId Recorder::rope(TensorId x, TensorId positions, TensorId inverse_frequency,
                        int64_t head_dim) {
  return record(Op::kRope, RopeParams{head_dim}, {x, positions, inverse_frequency}, Role::kRope,
                "");
}

void Recorder::kv_append(TensorId k, TensorId v, TensorId slots, TensorId k_cache, TensorId v_cache,
                         const std::string& module) {
  program_.calls.push_back({.op = Op::kKvAppend,
                            .params = {},
                            .inputs = {k, v, slots, kNoTensor, kNoTensor},
                            .outputs = {k_cache, v_cache},
                            .layer = layer_,
                            .role = Role::kCacheAppend,
                            .module = module});
}

TensorId Recorder::attention(TensorId q, TensorId k_cache, TensorId v_cache,
                             const std::array<TensorId, 4>& sequences,
                             const AttentionParams& params, const std::string& module) {
  return record(Op::kAttention, params,
                {q, k_cache, v_cache, sequences[0], sequences[1], sequences[2], sequences[3],
                 kNoTensor, kNoTensor, kNoTensor},
                Role::kAttention, module);
}

TensorId Recorder::swiglu(TensorId gate, TensorId up, const std::string& module) {
  return record(Op::kSwiglu, {}, {gate, up, kNoTensor}, Role::kActivation, module);
}

TensorId Recorder::add(TensorId a, TensorId b, Role role) {
  return record(Op::kAdd, {}, {a, b}, role, "");
}

TensorId Recorder::gather_rows(TensorId x, TensorId rows) {
  return record(Op::kGatherRows, {}, {x, rows}, Role::kNone, "");
}

TensorId Recorder::router(TensorId x, TensorId weight, const std::string& module) {
  const TensorId id = linear(x, weight, kNoTensor, Role::kRouter, module);
  program_.tensor(id).dtype = DType::kF32;  // a rounding could swap two experts
  return id;
}

Recorder::Routes Recorder::route(TensorId logits, TensorId slots, const RouteParams& params) {
  const std::vector<TensorId> ids =
      record_all(Op::kRoute, params, {logits, slots}, Role::kRoute, "");
  program_.tensor(ids[1]).dtype = DType::kF32;
  return {.experts = ids[0], .weights = ids[1]};
}

Recorder::Permuted Recorder::permute(TensorId x, TensorId experts, int64_t num_experts) {
  const std::vector<TensorId> ids =
      record_all(Op::kPermute, PermuteParams{num_experts}, {x, experts}, Role::kPermute, "");
  return {.rows = ids[0], .offsets = ids[1], .x = ids[2]};
}

TensorId Recorder::grouped_linear(TensorId x, TensorId weight, TensorId offsets, Role role,
                                  const std::string& module) {
  return record(Op::kGroupedLinear, LinearParams{}, {x, weight, kNoTensor, kNoTensor, offsets},
                role, module);
}

TensorId Recorder::combine(TensorId x, TensorId rows, TensorId weights) {
  return record(Op::kCombine, {}, {x, rows, weights}, Role::kCombine, "");
}

TensorId Recorder::logits(TensorId x, TensorId weight, const std::string& module) {
  const TensorId id = linear(x, weight, kNoTensor, Role::kLmHead, module);
  program_.tensor(id).name = kLogits;
  program_.tensor(id).dtype = DType::kF32;
  program_.outputs = {id};
  return id;
}

Program Recorder::finish() {
  validate(program_);
  return std::move(program_);
}

}  // namespace octavo
