// Validation and printing of Programs.
// SPDX-License-Identifier: Apache-2.0
#include "program/program.h"

#include <algorithm>
#include <array>

#include "ops/kernel.h"
#include "ops/moe_rules.h"
#include "program/memory_plan.h"

namespace octavo {
namespace {

constexpr std::array<std::pair<Role, std::string_view>, 29> kRoles = {{
    {Role::kNone, "none"},
    {Role::kEmbedding, "embedding"},
    {Role::kInputNorm, "input_norm"},
    {Role::kHeadNorm, "head_norm"},
    {Role::kQ, "q"},
    {Role::kK, "k"},
    {Role::kV, "v"},
    {Role::kQkv, "qkv"},
    {Role::kRope, "rope"},
    {Role::kCacheAppend, "cache_append"},
    {Role::kAttention, "attention"},
    {Role::kO, "o"},
    {Role::kAttentionResidual, "attention_residual"},
    {Role::kPostNorm, "post_norm"},
    {Role::kGate, "gate"},
    {Role::kUp, "up"},
    {Role::kGateUp, "gate_up"},
    {Role::kActivation, "activation"},
    {Role::kDown, "down"},
    {Role::kRouter, "router"},
    {Role::kRoute, "route"},
    {Role::kPermute, "permute"},
    {Role::kCombine, "combine"},
    {Role::kMlpResidual, "mlp_residual"},
    {Role::kFinalNorm, "final_norm"},
    {Role::kLmHead, "lm_head"},
    {Role::kReduce, "reduce"},
    {Role::kGather, "gather"},
    {Role::kPipeline, "pipeline"},
}};

[[noreturn]] void invalid(std::string_view where, std::string_view reason) {
  throw Error(ErrorCategory::kBadFile, fmt::format("program: {}: {}", printable(where), reason));
}

bool in_range(const Program& program, TensorId id) {
  return id >= 0 && static_cast<size_t>(id) < program.tensors.size();
}

void validate_dims(const ProgramTensor& tensor) {
  // A dimension and a tensor's constant part stay so small that the maxima of a step (at most 2^20
  // of anything) cannot overflow a byte count.
  constexpr int64_t kLargestDim = int64_t{1} << 28, kLargestProduct = int64_t{1} << 38;
  if (tensor.shape.size() > Shape::kMaxRank) invalid(tensor.name, "rank above 8");
  int64_t product = 1, symbols = 0;
  for (const Dim& dim : tensor.shape) {
    if (dim.is_constant() && (dim.value < 0 || dim.value > kLargestDim))
      invalid(tensor.name, "dimension out of range");
    if (dim.multiple < 1 || dim.multiple > 4096) invalid(tensor.name, "multiple out of range");
    if (dim.divisor < 1 || dim.divisor > 1024) invalid(tensor.name, "divisor out of range");
    // Experts a token multiply, so that such a dimension counts for both.
    const bool copies = dim.symbol == Symbol::kTokensTopK;
    if (copies && (dim.value < 1 || dim.value > kMaxExperts))
      invalid(tensor.name, "experts a token out of range");
    symbols += dim.is_constant() ? 0 : copies ? 2 : 1;
    if (dim.is_constant() && dim.value > 0 && dim.value > kLargestProduct / product) {
      invalid(tensor.name, "too many elements");
    }
    if (dim.is_constant()) product *= std::max<int64_t>(dim.value, 1);
  }
  if (symbols > 2) invalid(tensor.name, "more than two symbolic dimensions");
  if (symbols > 0 && product > kLargestDim) invalid(tensor.name, "too many elements");
}

void validate_view(const Program& program, const ProgramTensor& tensor) {
  if (tensor.base == kNoTensor) return;
  if (!in_range(program, tensor.base)) invalid(tensor.name, "view of an unknown tensor");
  const ProgramTensor& base = program.tensor(tensor.base);
  const bool fits =
      tensor.kind == TensorKind::kActivation && base.kind == TensorKind::kActivation &&
      base.base == kNoTensor && base.dtype == tensor.dtype && base.shape.size() == 2 &&
      tensor.shape.size() == 2 && base.shape[0] == tensor.shape[0] && base.shape[1].is_constant() &&
      tensor.shape[1].is_constant() && tensor.column >= 0 &&
      tensor.column <= base.shape[1].value - tensor.shape[1].value;
  if (!fits) invalid(tensor.name, "a view must be columns of a rank-2 activation of the same type");
}

void validate_literals(const Program& program) {
  for (const auto& [id, values] : program.literals) {
    if (!in_range(program, id)) invalid("literals", "unknown tensor");
    const ProgramTensor& tensor = program.tensor(id);
    const SymbolicShape expected{Dim::constant(static_cast<int64_t>(values.size()))};
    if (tensor.kind != TensorKind::kWeight || tensor.dtype != DType::kF32 ||
        tensor.shape != expected) {
      invalid(tensor.name, "a literal must be a float32 weight of its own length");
    }
  }
}

class Validator {
 public:
  explicit Validator(const Program& program)
      : program_(program), written_(program.tensors.size(), false) {}

  void run() {
    for (const ProgramTensor& tensor : program_.tensors) {
      validate_dims(tensor);
      validate_view(program_, tensor);
    }
    validate_literals(program_);
    for (const Call& call : program_.calls) check(call);
    for (const TensorId id : program_.outputs) {
      if (!in_range(program_, id) || !readable(id))
        invalid("outputs", "an output that no call writes");
    }
    check_user_buffers();
  }

 private:
  bool readable(TensorId id) const {
    const ProgramTensor& tensor = program_.tensor(id);
    if (tensor.kind != TensorKind::kActivation) return true;
    return written_[static_cast<size_t>(id)] ||
           (tensor.base != kNoTensor && written_[static_cast<size_t>(tensor.base)]);
  }

  void check(const Call& call) {
    const std::string where = fmt::format("{} {}", to_string(call.op), call.module);
    std::vector<OperandSpec> inputs, outputs;
    for (const TensorId id : call.inputs) {
      if (id != kNoTensor && (!in_range(program_, id) || !readable(id)))
        invalid(where, "reads a tensor never written");
      inputs.push_back(program_.spec(id));
    }
    for (const TensorId id : call.outputs) {
      if (!in_range(program_, id)) invalid(where, "writes an unknown tensor");
      const TensorKind kind = program_.tensor(id).kind;
      if (kind != TensorKind::kActivation && kind != TensorKind::kCache)
        invalid(where, "writes a weight or an input");
      outputs.push_back(program_.spec(id));
      written_[static_cast<size_t>(id)] = true;
    }
    check_call(call.op, inputs, outputs, call.params);
  }

  // A user buffer is an activation of its own that one call reads, and that nothing touches before
  // the user buffer before it was read: two places then are enough for all.
  void check_user_buffers() const {
    const std::vector<Lifetime> lives = lifetimes(program_);
    int previous = -1;
    for (const int call : user_buffer_calls(program_)) {
      const TensorId x = program_.calls[static_cast<size_t>(call)].inputs[0];
      const ProgramTensor& tensor = program_.tensor(x);
      const Lifetime& life = lives[static_cast<size_t>(x)];
      if (tensor.kind != TensorKind::kActivation || tensor.base != kNoTensor || life.last != call ||
          life.first <= previous)
        invalid(tensor.name, "a user buffer must be written and read behind the one before it");
      previous = call;
    }
  }

  const Program& program_;
  std::vector<bool> written_;
};

}  // namespace

std::string_view to_string(Role role) {
  for (const auto& [value, name] : kRoles) {
    if (value == role) return name;
  }
  return "none";
}

std::optional<Role> role_from_string(std::string_view name) {
  for (const auto& [value, text] : kRoles) {
    if (text == name) return value;
  }
  return std::nullopt;
}

std::vector<std::string> checkpoint_names(const std::string& name, int64_t count) {
  const size_t star = name.find('*');
  if (star == std::string::npos) return {name};
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i)
    names.push_back(fmt::format("{}{}{}", name.substr(0, star), i, name.substr(star + 1)));
  return names;
}

TensorId Program::add(ProgramTensor tensor) {
  tensors.push_back(std::move(tensor));
  return static_cast<TensorId>(tensors.size() - 1);
}

TensorId Program::find(std::string_view name) const {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name) return static_cast<TensorId>(i);
  }
  return kNoTensor;
}

OperandSpec Program::spec(TensorId id) const {
  if (id == kNoTensor) return {.shape = {}, .dtype = DType::kF32, .present = false};
  return {.shape = tensor(id).shape, .dtype = tensor(id).dtype, .present = true};
}

void validate(const Program& program) { Validator(program).run(); }

Problem problem_of(const Program& program, const Call& call, const SymbolValues& maxima) {
  const auto operand = [&](TensorId id) -> Problem::Operand {
    if (id == kNoTensor) return {};
    return {evaluate(program.tensor(id).shape, maxima), program.tensor(id).dtype, true};
  };
  Problem problem{.op = call.op, .params = call.params, .inputs = {}, .outputs = {}};
  for (const TensorId id : call.inputs) problem.inputs.push_back(operand(id));
  for (const TensorId id : call.outputs) problem.outputs.push_back(operand(id));
  return problem;
}

std::string to_string(const Program& program) {
  const auto name = [&](TensorId id) {
    if (id == kNoTensor) return std::string("-");
    const ProgramTensor& tensor = program.tensor(id);
    return fmt::format("{}:{}{}", tensor.name, to_string(tensor.dtype), to_string(tensor.shape));
  };
  std::string text;
  for (const Call& call : program.calls) {
    text += fmt::format("{:3} {:<18}", call.layer, to_string(call.role));
    for (const TensorId id : call.outputs) text += " " + name(id);
    text += fmt::format(" = {}(", to_string(call.op));
    for (size_t i = 0; i < call.inputs.size(); ++i)
      text += (i > 0 ? ", " : "") + name(call.inputs[i]);
    text += ")\n";
  }
  return text;
}

}  // namespace octavo
