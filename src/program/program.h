// Program: a decoder-only model as a straight-line list of op calls on numbered tensors.
// SPDX-License-Identifier: Apache-2.0
//
// Goals: a model emits it once; the calibrator observes it, the builder rewrites it, the runtime
// replays it. Non-goals: branches, dynamic graphs, node classes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ops/kernel.h"

namespace octavo {

using TensorId = int32_t;
inline constexpr TensorId kNoTensor = -1;

enum class TensorKind : uint8_t {
  kInput,       // bound for every step: token ids, positions, block table, …
  kWeight,      // read from the checkpoint or the engine by name
  kCache,       // KV pool, lives between steps
  kActivation,  // lives within a step
};

struct ProgramTensor {
  std::string name;
  TensorKind kind = TensorKind::kActivation;
  DType dtype = DType::kF32;
  SymbolicShape shape;
  // Where set, this tensor is columns [column, column + shape[1]) of the rank-2 activation `base`.
  TensorId base = kNoTensor;
  int64_t column = 0;
};

// What a call is for; passes, precision exclusions and reports select by it.
enum class Role : uint8_t {
  kNone,
  kEmbedding,
  kInputNorm,
  kHeadNorm,
  kQ,
  kK,
  kV,
  kQkv,
  kRope,
  kCacheAppend,
  kAttention,
  kO,
  kAttentionResidual,
  kPostNorm,
  kGate,
  kUp,
  kGateUp,
  kActivation,
  kDown,
  kRouter,
  kRoute,
  kPermute,
  kCombine,
  kMlpResidual,
  kFinalNorm,
  kLmHead,
  kReduce,    // sum over tensor parallel ranks
  kGather,    // of the vocabulary's parts of the logits
  kPipeline,  // the hidden state between stages
};
std::string_view to_string(Role role);
std::optional<Role> role_from_string(std::string_view name);

struct Call {
  Op op = Op::kAdd;
  OpParams params;
  std::vector<TensorId> inputs;  // kNoTensor: an absent optional operand
  std::vector<TensorId> outputs;
  int layer = -1;  // -1 before the first layer, number of layers after the last
  Role role = Role::kNone;
  std::string
      module;  // "model.layers.0.self_attn.q_proj": the checkpoint's name, where there is one
};

struct Program {
  std::vector<ProgramTensor> tensors;
  std::vector<Call> calls;
  std::vector<TensorId> outputs;  // alive after the last call: the logits
  std::map<TensorId, std::vector<float>>
      literals;  // weights that the model file computes (RoPE frequencies)

  const ProgramTensor& tensor(TensorId id) const { return tensors[static_cast<size_t>(id)]; }
  ProgramTensor& tensor(TensorId id) { return tensors[static_cast<size_t>(id)]; }
  TensorId add(ProgramTensor tensor);
  TensorId find(std::string_view name) const;  // kNoTensor where there is none
  OperandSpec spec(TensorId id) const;
};

// The checkpoint's names of a weight. One whose name holds a `*` stacks `count` tensors along its
// first axis, whose names have the numbers 0, 1, … in its place; any other has its own name.
std::vector<std::string> checkpoint_names(const std::string& name, int64_t count);

// Checks everything about a Program that kernels rely on: ids in range, every call's shapes and
// types (check_call), values written before they are read, column views inside their base, literals
// of float32 weights. Throws Error(kBadFile) naming the call. A validated Program from an untrusted
// file is safe to plan and run.
void validate(const Program& program);

// One call as kernels are asked about it, symbols at their maxima.
Problem problem_of(const Program& program, const Call& call, const SymbolValues& maxima);

// A readable listing, one call a line.
std::string to_string(const Program& program);

}  // namespace octavo
