// Running of calls on the CPU.
// SPDX-License-Identifier: Apache-2.0
#include "program/interpreter.h"

#include <algorithm>

namespace octavo {

Interpreter::Interpreter(const Program& program, std::vector<const Kernel*> kernels,
                         const SymbolValues& maxima, ThreadPool& pool)
    : program_(program),
      kernels_(std::move(kernels)),
      plan_(plan_memory(program, maxima)),
      pool_(pool) {
  OCTAVO_CHECK(kernels_.size() == program.calls.size());
  for (size_t i = 0; i < kernels_.size(); ++i) {
    if (kernels_[i]->workspace == nullptr) continue;
    workspace_bytes_ = std::max(
        workspace_bytes_, kernels_[i]->workspace(problem_of(program, program.calls[i], maxima)));
  }
  arena_ = allocate_host(plan_.bytes);
  workspace_ = allocate_host(workspace_bytes_);
  bound_.resize(program.tensors.size());
}

void Interpreter::bind(TensorId id, const TensorView& view) {
  OCTAVO_CHECK(program_.tensor(id).kind != TensorKind::kActivation &&
               view.dtype == program_.tensor(id).dtype);
  bound_[static_cast<size_t>(id)] = view;
}

void Interpreter::bind(const Batch& batch) {
  const auto bind_input = [&](std::string_view name, const auto& values, DType dtype, Shape shape) {
    const TensorId id = program_.find(name);
    if (id == kNoTensor) return;
    // Kernels read inputs only; TensorView has no const form.
    bind(id, TensorView(const_cast<void*>(static_cast<const void*>(values.data())), dtype, shape));
  };
  const SymbolValues sizes = batch.sizes(0);
  bind_input(kTokenIds, batch.token_ids, DType::kI32, {sizes.tokens});
  bind_input(kPositions, batch.positions, DType::kI32, {sizes.tokens});
  bind_input(kSlots, batch.slots, DType::kI64, {sizes.tokens});
  bind_input(kQueryStart, batch.query_start, DType::kI32, {sizes.sequences});
  bind_input(kQueryLength, batch.query_length, DType::kI32, {sizes.sequences});
  bind_input(kKvLength, batch.kv_length, DType::kI32, {sizes.sequences});
  bind_input(kBlockTable, batch.block_table, DType::kI32, {sizes.sequences, sizes.table_width});
  bind_input(kLogitRows, batch.logit_rows, DType::kI32, {sizes.logit_rows});
}

TensorView Interpreter::view(TensorId id, const SymbolValues& sizes) const {
  if (id == kNoTensor) return {};
  const ProgramTensor& tensor = program_.tensor(id);
  if (tensor.kind != TensorKind::kActivation) return bound_[static_cast<size_t>(id)];
  const Shape shape = evaluate(tensor.shape, sizes);
  if (tensor.base == kNoTensor) {
    return TensorView(arena_.get() + plan_.offsets[static_cast<size_t>(id)], tensor.dtype, shape);
  }
  TensorView columns = view(tensor.base, sizes);
  columns.data += tensor.column * size_of(tensor.dtype);
  columns.shape = shape;  // row_stride stays the base's
  return columns;
}

void Interpreter::run(const SymbolValues& sizes, size_t begin, size_t end,
                      const CallObserver& observer) {
  const LaunchContext context{
      .pool = &pool_, .workspace = {workspace_.get(), static_cast<size_t>(workspace_bytes_)}};
  std::vector<TensorView> inputs, outputs;
  for (size_t i = begin; i < end; ++i) {
    const Call& call = program_.calls[i];
    inputs.clear();
    outputs.clear();
    for (const TensorId id : call.inputs) inputs.push_back(view(id, sizes));
    for (const TensorId id : call.outputs) outputs.push_back(view(id, sizes));
    const Operands operands{.inputs = inputs, .outputs = outputs, .params = &call.params};
    kernels_[i]->run(operands, context);
    if (observer) observer(call, operands);
  }
}

std::vector<const Kernel*> first_candidates(const Program& program, const KernelRegistry& registry,
                                            const SymbolValues& maxima) {
  std::vector<const Kernel*> kernels;
  for (const Call& call : program.calls) {
    kernels.push_back(
        registry.candidates(problem_of(program, call, maxima), DeviceType::kCpu).front());
  }
  return kernels;
}

}  // namespace octavo
