// Tensor and pipeline parallelism as a rewrite.
// SPDX-License-Identifier: Apache-2.0
#include "builder/shard.h"

#include <algorithm>
#include <set>

#include "core/checked.h"
#include "program/rewrite.h"

namespace octavo {
namespace {

constexpr size_t kLinearWeight = 1, kLinearWeightScale = 3, kLinearBias = 4;

[[noreturn]] void cannot_shard(std::string_view what, std::string_view why) {
  throw Error(ErrorCategory::kUnsupported, fmt::format("{}: {}", printable(what), why));
}

bool is_vocabulary(Role role) { return role == Role::kEmbedding || role == Role::kLmHead; }

class TensorParallel {
 public:
  TensorParallel(Draft& draft, std::span<const ModelTensor> tensors, const ModelConfig& config,
                 const RankPlace& place)
      : draft_(draft), program_(draft.program), config_(config), place_(place) {
    for (const ModelTensor& tensor : tensors) by_name_[tensor.name] = &tensor;
  }

  WeightSlices run() {
    slice_weights();
    std::vector<Call> calls = std::move(program_.calls);
    program_.calls.clear();
    for (Call& call : calls) shard_call(std::move(call));
    return std::move(slices_);
  }

 private:
  // How the Program's weight is cut; null where it is whole.
  const WeightSlice* slice_of(TensorId weight) const {
    const auto it = cuts_.find(program_.tensor(weight).name);
    return it == cuts_.end() ? nullptr : &it->second;
  }

  // This rank's part of an axis that holds `extent` elements.
  WeightSlice part_of(const ModelTensor& tensor, int axis, int64_t extent) const {
    int64_t units = place_.tp_size, first = place_.index(), count = 1;
    if (tensor.role == Role::kK || tensor.role == Role::kV) {
      units = config_.num_kv_heads;
      first = place_.index() * units / place_.tp_size;
      count = kv_heads_of_rank(units, place_.tp_size);
    }
    if (extent % units != 0) {
      cannot_shard(tensor.name, fmt::format("--tp_size {}: {} does not divide into {} parts",
                                            place_.tp_size, extent, units));
    }
    const int64_t unit = extent / units;
    return {.axis = axis, .begin = first * unit, .count = count * unit};
  }

  void slice_weights() {
    for (ProgramTensor& tensor : program_.tensors) {
      if (tensor.kind == TensorKind::kCache)
        tensor.shape[1].value = kv_heads_of_rank(config_.num_kv_heads, place_.tp_size);
      if (tensor.kind == TensorKind::kWeight) slice_weight(tensor);
    }
  }

  // A weight that stacks those of all experts has their axis in front.
  void slice_weight(ProgramTensor& tensor) {
    const std::vector<std::string> parts = draft_.parts_of(tensor.name);
    const auto entry = by_name_.find(parts.front());
    if (entry == by_name_.end()) return;
    const ModelTensor& model = *entry->second;
    if (model.shard == ShardAxis::kReplicated) return;
    if (is_vocabulary(model.role) && !shards_vocabulary(config_, place_.tp_size)) return;
    const int axis = model.shard == ShardAxis::kRows ? 0 : 1;
    const int stacked_axis = axis + static_cast<int>(tensor.shape.size()) - model.shape.rank();
    whole_[tensor.name] = evaluate(tensor.shape, {});
    Dim& dim = tensor.shape[static_cast<size_t>(stacked_axis)];
    WeightSlice slice = part_of(model, axis, dim.value);
    dim.value = slice.count;
    for (const std::string& part : parts) slices_[part] = slice;
    slice.axis = stacked_axis;
    cuts_[tensor.name] = slice;
  }

  // Cuts the scales of a weight, one tensor or one a part of a stack, where they follow the cut of
  // its [rows, columns].
  void slice_weight_scale(const Call& call, const WeightSlice& stacked_slice) {
    const TensorId id = call.inputs[kLinearWeightScale];
    if (id == kNoTensor) return;
    const auto& params = std::get<LinearParams>(call.params);
    if (params.block_rows == 0) return;  // one for all, or for each segment
    const ProgramTensor& weight = program_.tensor(call.inputs[kLinearWeight]);
    ProgramTensor& scale = program_.tensor(id);
    const int stack = static_cast<int>(weight.shape.size()) - 2;
    const Shape whole = evaluate(scale.shape, {});
    const Shape scales = {whole[stack], whole[stack + 1]};
    Shape data = {scales[0] * params.block_rows, scales[1] * params.block_columns};
    if (params.block_columns == 0) data[1] = whole_.at(weight.name)[stack + 1];
    WeightSlice slice = stacked_slice;
    slice.axis -= stack;
    if (slice.axis == 0) {
      slice.begin *= rows_in_row(weight.dtype);
      slice.count *= rows_in_row(weight.dtype);
    }
    const auto cut = slice_of_scale(scale.name, scales, data, slice);
    if (!cut) return;
    for (const std::string& part : draft_.parts_of(scale.name)) slices_[part] = *cut;
    scale.shape[static_cast<size_t>(cut->axis + stack)].value = cut->count;
  }

  void shard_call(Call call) {
    switch (call.op) {
      case Op::kEmbedding:
        return shard_embedding(std::move(call));
      case Op::kLinear:
        return shard_linear(std::move(call));
      case Op::kAttention: {
        auto& params = std::get<AttentionParams>(call.params);
        params.num_heads /= place_.tp_size;
        params.num_kv_heads = kv_heads_of_rank(params.num_kv_heads, place_.tp_size);
        return add(std::move(call));
      }
      case Op::kGroupedLinear:
        return shard_grouped_linear(std::move(call));
      case Op::kCombine:  // a sum of its rows: what ranks must add they add once, for fewer rows
        if (partial_.contains(call.inputs[0]))
          return add_with(std::move(call), Op::kAllReduce, Role::kReduce);
        return add(std::move(call));
      case Op::kRoute:  // every rank routes alike, by the whole hidden state
      case Op::kPermute:
      case Op::kGroupedQuantize:
      case Op::kRmsNorm:
      case Op::kAdd:
      case Op::kQuantize:
      case Op::kQuantizeDynamic:  // of a rank's part of the columns: see docs/numerics.md
      case Op::kRope:
      case Op::kKvAppend:
      case Op::kSwiglu:
      case Op::kGatherRows:
        return add(std::move(call));
      default:
        cannot_shard(to_string(call.op), "this op does not run on several ranks yet: --tp_size 1");
    }
  }

  void shard_embedding(Call call) {
    const WeightSlice* slice = slice_of(call.inputs[1]);
    if (slice == nullptr) return add(std::move(call));
    call.params = EmbeddingParams{slice->begin};
    add_with(std::move(call), Op::kAllReduce, Role::kReduce);
  }

  void shard_linear(Call call) {
    const TensorId weight = call.inputs[kLinearWeight];
    const WeightSlice* slice = slice_of(weight);
    if (slice == nullptr) return add(std::move(call));
    slice_weight_scale(call, *slice);
    if (slice->axis == 0 && call.role != Role::kLmHead) return add(std::move(call));
    if (slice->axis == 0) return add_with(std::move(call), Op::kAllGather, Role::kGather);
    // A bias is added once, not by every rank.
    if (place_.index() != 0) call.inputs[kLinearBias] = kNoTensor;
    add_with(std::move(call), Op::kAllReduce, Role::kReduce);
  }

  void shard_grouped_linear(Call call) {
    const TensorId weight = call.inputs[kLinearWeight];
    if (const WeightSlice* slice = slice_of(weight)) {
      slice_weight_scale(call, *slice);
      if (slice->axis == 2) partial_.insert(call.outputs[0]);
    }
    add(std::move(call));
  }

  // The call, and behind it one that makes the whole result of its part.
  void add_with(Call call, Op op, Role role) {
    const TensorId whole = call.outputs[0];
    ProgramTensor part = program_.tensor(whole);
    part.name += ".part";
    call.outputs[0] = program_.add(std::move(part));
    Call second{.op = op,
                .params = GroupParams{.ranks = place_.tp_size},
                .inputs = {call.outputs[0]},
                .outputs = {whole},
                .layer = call.layer,
                .role = role,
                .module = call.module};
    add(std::move(call));
    add(std::move(second));
  }

  // Adds the call; its results get the shapes that follow from its operands.
  void add(Call call) {
    std::vector<OperandSpec> inputs;
    for (const TensorId id : call.inputs) inputs.push_back(program_.spec(id));
    const std::vector<SymbolicShape> shapes = op_info(call.op).infer(inputs, call.params);
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      ProgramTensor& output = program_.tensor(call.outputs[i]);
      if (output.kind == TensorKind::kActivation) output.shape = shapes[i];
    }
    program_.calls.push_back(std::move(call));
  }

  const Draft& draft_;
  Program& program_;
  const ModelConfig& config_;
  const RankPlace& place_;
  std::map<std::string, const ModelTensor*> by_name_;
  std::map<std::string, Shape> whole_;       // of what is cut
  std::map<std::string, WeightSlice> cuts_;  // by weight of the Program
  std::set<TensorId> partial_;               // rows of experts that ranks have yet to sum
  WeightSlices slices_;
};

// Cuts the draft. Only this finds every edge of a block of scales, so it is what tells which sizes
// are legal where one is not.
WeightSlices cut_tensors(Draft& draft, std::span<const ModelTensor> tensors,
                         const ModelConfig& config, const RankPlace& place) {
  const Draft whole = draft;
  try {
    return TensorParallel(draft, tensors, config, place).run();
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kUnsupported) throw;
    std::string legal = "1";
    for (int64_t size = 2; size <= config.num_heads; ++size) {
      if (!shards_layers(config, size)) continue;
      try {
        Draft trial = whole;
        TensorParallel(trial, tensors, config, {.tp_size = size}).run();
        legal += fmt::format(", {}", size);
      } catch (const Error&) {  // not legal
      }
    }
    cannot_shard(fmt::format("--tp_size {}", place.tp_size),
                 fmt::format("{}; legal sizes: {}", error.what(), legal));
  }
}

// The stage that runs a layer; what is before the first belongs to it, what is behind the last too.
int64_t stage_of(int layer, int64_t num_layers, int64_t pp_size) {
  const int64_t inside = std::clamp<int64_t>(layer, 0, num_layers - 1);
  int64_t stage = 0;
  while ((stage + 1) * num_layers / pp_size <= inside) ++stage;
  return stage;
}

// The one activation that later stages read of `stage` and those before it.
TensorId handed_over(const Program& program, int64_t stage, int64_t num_layers, int64_t pp_size) {
  std::set<TensorId> written, crossing;
  const auto memory_of = [&](TensorId id) {
    return program.tensor(id).base == kNoTensor ? id : program.tensor(id).base;
  };
  for (const Call& call : program.calls) {
    if (stage_of(call.layer, num_layers, pp_size) <= stage) {
      for (const TensorId id : call.outputs) written.insert(memory_of(id));
      continue;
    }
    for (const TensorId id : call.inputs) {
      if (id == kNoTensor || program.tensor(id).kind != TensorKind::kActivation) continue;
      if (written.contains(memory_of(id))) crossing.insert(memory_of(id));
    }
  }
  if (crossing.size() == 1) return *crossing.begin();
  cannot_shard("--pp_size",
               fmt::format("{} tensors cross the end of stage {}, expected the hidden state alone",
                           crossing.size(), stage));
}

void cut_stage(Program& program, int64_t num_layers, const RankPlace& place) {
  const int64_t stage = place.stage(), pp_size = place.pp_size;
  const auto first_layer = static_cast<int>(stage * num_layers / pp_size);
  std::vector<Call> calls;
  if (!place.is_first_stage()) {
    const TensorId x = handed_over(program, stage - 1, num_layers, pp_size);
    calls.push_back({.op = Op::kRecv,
                     .params = RecvParams{program.tensor(x).shape[1].value},
                     .outputs = {x},
                     .layer = first_layer,
                     .role = Role::kPipeline});
  }
  for (const Call& call : program.calls) {
    if (stage_of(call.layer, num_layers, pp_size) == stage) calls.push_back(call);
  }
  if (!place.is_last_stage()) {
    const TensorId x = handed_over(program, stage, num_layers, pp_size);
    calls.push_back(
        {.op = Op::kSend, .inputs = {x}, .layer = calls.back().layer, .role = Role::kPipeline});
    program.outputs.clear();
  }
  program.calls = std::move(calls);
}

}  // namespace

WeightSlices shard(Draft& draft, std::span<const ModelTensor> tensors, const ModelConfig& config,
                   const RankPlace& place) {
  WeightSlices slices;
  if (place.tp_size > 1) slices = cut_tensors(draft, tensors, config, place);
  if (place.pp_size > 1) cut_stage(draft.program, config.num_layers, place);
  remove_dead_tensors(draft.program);
  validate(draft.program);
  return slices;
}

bool shards_layers(const ModelConfig& config, int64_t tp_size) {
  const int64_t kv_heads = config.num_kv_heads;
  return config.num_heads % tp_size == 0 && config.intermediate_size % tp_size == 0 &&
         (kv_heads % tp_size == 0 || tp_size % kv_heads == 0);
}

bool shards_vocabulary(const ModelConfig& config, int64_t tp_size) {
  return config.vocab_size % tp_size == 0;
}

int64_t kv_heads_of_rank(int64_t num_kv_heads, int64_t tp_size) {
  return std::max<int64_t>(1, num_kv_heads / tp_size);
}

std::optional<WeightSlice> slice_of_scale(const std::string& scale, const Shape& scale_shape,
                                          const Shape& data_shape, const WeightSlice& data_slice) {
  // One scale for each row is written [rows]; [1] is one for all.
  const int axis = data_slice.axis;
  const int64_t scales = axis < scale_shape.rank() ? scale_shape[axis] : 1;
  if (scales == 1) return std::nullopt;
  const int64_t block = ceil_div(data_shape[axis], scales);
  if (data_slice.begin % block != 0 || data_slice.count % block != 0) {
    cannot_shard(scale,
                 fmt::format("a rank's part, elements {} to {} of axis {}, cuts a block of "
                             "{} that shares a scale",
                             data_slice.begin, data_slice.begin + data_slice.count, axis, block));
  }
  return WeightSlice{
      .axis = axis, .begin = data_slice.begin / block, .count = data_slice.count / block};
}

}  // namespace octavo
