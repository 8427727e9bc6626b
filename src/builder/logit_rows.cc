// Moves gather_rows from the end of a Program to the inputs of the rowwise calls before it.
// SPDX-License-Identifier: Apache-2.0
#include "builder/logit_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <ranges>
#include <set>

#include "program/rewrite.h"

namespace octavo {
namespace {

constexpr std::array kRowwise = {Op::kLinear,   Op::kLinearSwiglu,    Op::kSwiglu,
                                 Op::kAdd,      Op::kRmsNorm,         Op::kAddRmsNorm,
                                 Op::kQuantize, Op::kQuantizeDynamic, Op::kAllReduce};

bool is_linear(Op op) { return op == Op::kLinear || op == Op::kLinearSwiglu; }

void replace_symbol(SymbolicShape& shape, Symbol from, Symbol to) {
  for (Dim& dim : shape) {
    if (dim.symbol == from) dim.symbol = to;
  }
}

// What reads the gathered rows reads what they are gathered from.
void skip_gather(Program& program, size_t gather) {
  const TensorId from = program.calls[gather].outputs[0], to = program.calls[gather].inputs[0];
  for (Call& call : program.calls) std::ranges::replace(call.inputs, from, to);
  std::ranges::replace(program.outputs, from, to);
  remove_calls(program, {static_cast<int>(gather)});
}

// The index of gather_rows; that of no call where there is none.
size_t find_gather(const Program& program) {
  const auto gather = std::ranges::find(program.calls, Op::kGatherRows, &Call::op);
  return static_cast<size_t>(gather - program.calls.begin());
}

class Narrowing {
 public:
  Narrowing(Program& program, size_t gather) : program_(program), gather_(gather) {
    for (size_t i = gather; i-- > 0;) {
      if (is_for_logits(i)) calls_.insert(i);
    }
    for (const size_t i : calls_) {
      for (const TensorId id : program_.calls[i].outputs) written_.insert(storage_of(id));
    }
  }

  bool saves_a_linear() const {
    return std::ranges::any_of(calls_,
                               [this](size_t i) { return is_linear(program_.calls[i].op); });
  }

  void apply() {
    for (ProgramTensor& tensor : program_.tensors) {
      const TensorId own = static_cast<TensorId>(&tensor - program_.tensors.data());
      if (written_.contains(storage_of(own)))
        replace_symbol(tensor.shape, Symbol::kTokens, Symbol::kLogitRows);
    }
    const TensorId chosen_rows = program_.calls[gather_].inputs[1];
    skip_gather(program_, gather_);
    std::vector<std::pair<size_t, Call>> gathers;  // each with the call that it stands before
    std::map<TensorId, TensorId> gathered;
    for (const size_t i : calls_) {
      for (TensorId& id : program_.calls[i].inputs) {
        if (!comes_from_before(id)) continue;
        const auto [at, is_new] = gathered.try_emplace(id, kNoTensor);
        if (is_new) {
          at->second = add_rows_of(id);
          gathers.emplace_back(i, gather_call(i, {id, chosen_rows}, at->second));
        }
        id = at->second;
      }
    }
    for (auto& [before, call] : std::views::reverse(gathers))
      program_.calls.insert(program_.calls.begin() + static_cast<ptrdiff_t>(before),
                            std::move(call));
  }

 private:
  TensorId storage_of(TensorId id) const {
    const TensorId base = program_.tensor(id).base;
    return base == kNoTensor ? id : base;
  }

  bool touches(const std::vector<TensorId>& ids, TensorId storage) const {
    return std::ranges::any_of(
        ids, [&](TensorId id) { return id != kNoTensor && storage_of(id) == storage; });
  }

  // A rowwise call whose results nobody but such calls and gather_rows reads, or also writes.
  bool is_for_logits(size_t index) const {
    const Call& call = program_.calls[index];
    if (std::ranges::find(kRowwise, call.op) == kRowwise.end()) return false;
    for (const TensorId id : call.outputs) {
      const TensorId storage = storage_of(id);
      if (touches(program_.outputs, storage)) return false;
      for (size_t i = 0; i < program_.calls.size(); ++i) {
        if (i != index && touches(program_.calls[i].outputs, storage)) return false;
        if (touches(program_.calls[i].inputs, storage) && i != gather_ && !calls_.contains(i))
          return false;
      }
    }
    return true;
  }

  bool comes_from_before(TensorId id) const {
    return id != kNoTensor && program_.tensor(id).kind == TensorKind::kActivation &&
           !written_.contains(storage_of(id));
  }

  TensorId add_rows_of(TensorId id) {
    ProgramTensor rows = program_.tensor(id);
    rows.name += ".logit_rows";
    rows.base = kNoTensor;
    rows.column = 0;
    replace_symbol(rows.shape, Symbol::kTokens, Symbol::kLogitRows);
    return program_.add(std::move(rows));
  }

  Call gather_call(size_t before, std::vector<TensorId> inputs, TensorId output) const {
    return {.op = Op::kGatherRows,
            .inputs = std::move(inputs),
            .outputs = {output},
            .layer = program_.calls[before].layer};
  }

  Program& program_;
  size_t gather_;
  std::set<size_t> calls_;      // that are narrowed
  std::set<TensorId> written_;  // by them: storage, no views
};

}  // namespace

void narrow_to_logit_rows(Program& program) {
  const size_t gather = find_gather(program);
  if (gather == program.calls.size()) return;
  Narrowing narrowing(program, gather);
  if (narrowing.saves_a_linear()) narrowing.apply();
}

void give_all_rows_logits(Program& program) {
  const size_t gather = find_gather(program);
  if (gather == program.calls.size()) return;
  skip_gather(program, gather);
  for (ProgramTensor& tensor : program.tensors) {
    if (tensor.kind == TensorKind::kActivation)
      replace_symbol(tensor.shape, Symbol::kLogitRows, Symbol::kTokens);
  }
}

}  // namespace octavo
