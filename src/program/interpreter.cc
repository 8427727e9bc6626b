// Running of calls, one after another, on a device.
// SPDX-License-Identifier: Apache-2.0
#include "program/interpreter.h"

#include <algorithm>

namespace octavo {

ProgramMemory ProgramMemory::largest(const ProgramMemory& a, const ProgramMemory& b) {
  return {.arena_bytes = std::max(a.arena_bytes, b.arena_bytes),
          .workspace_bytes = std::max(a.workspace_bytes, b.workspace_bytes),
          .user_buffer_bytes = std::max(a.user_buffer_bytes, b.user_buffer_bytes)};
}

void ProgramMemory::allocate(Device& device) {
  arena = device.allocate(arena_bytes);
  workspace = device.allocate(workspace_bytes);
  if (user_buffer_bytes > 0) user_buffers = device.allocate(kUserBuffers * user_buffer_bytes);
}

ProgramMemory memory_needs(const Program& program, std::span<const Kernel* const> kernels,
                           const SymbolValues& maxima) {
  const MemoryPlan plan = plan_memory(program, maxima);
  ProgramMemory needs{.arena_bytes = plan.bytes, .user_buffer_bytes = plan.user_buffer_bytes};
  for (size_t i = 0; i < kernels.size(); ++i) {
    if (kernels[i]->workspace == nullptr) continue;
    const Problem problem = problem_of(program, program.calls[i], maxima);
    needs.workspace_bytes = std::max(needs.workspace_bytes, kernels[i]->workspace(problem));
  }
  return needs;
}

Interpreter::Interpreter(const Program& program, std::vector<const Kernel*> kernels,
                         const SymbolValues& maxima, Device& device, ProgramMemory memory)
    : program_(program),
      kernels_(std::move(kernels)),
      plan_(plan_memory(program, maxima)),
      device_(device),
      memory_(std::move(memory)) {
  OCTAVO_CHECK(kernels_.size() == program.calls.size());
  if (memory_.arena == nullptr) {
    memory_ = memory_needs(program, kernels_, maxima);
    memory_.allocate(device);
  }
  OCTAVO_CHECK(plan_.bytes <= memory_.arena_bytes &&
               plan_.user_buffer_bytes <= memory_.user_buffer_bytes);
  bound_.resize(program.tensors.size());
}

void Interpreter::set_tactics(std::span<const std::string> tactics) {
  OCTAVO_CHECK(tactics.size() == kernels_.size());
  tactics_ = tactics;
}

void Interpreter::bind(TensorId id, const TensorView& view) {
  OCTAVO_CHECK(program_.tensor(id).kind != TensorKind::kActivation &&
               view.dtype == program_.tensor(id).dtype);
  bound_[static_cast<size_t>(id)] = view;
}

TensorView Interpreter::view(TensorId id, const SymbolValues& sizes) const {
  if (id == kNoTensor) return {};
  const ProgramTensor& tensor = program_.tensor(id);
  const Shape shape = evaluate(tensor.shape, sizes);
  if (tensor.kind != TensorKind::kActivation) {
    TensorView bound = bound_[static_cast<size_t>(id)];
    bound.shape = shape;
    return bound;
  }
  if (const int buffer = plan_.user_buffers[static_cast<size_t>(id)]; buffer >= 0)
    return TensorView(memory_.user_buffers.get() + buffer * memory_.user_buffer_bytes, tensor.dtype,
                      shape);
  if (tensor.base == kNoTensor) {
    std::byte* data = memory_.arena.get() + plan_.offsets[static_cast<size_t>(id)];
    return TensorView(data, tensor.dtype, shape);
  }
  TensorView columns = view(tensor.base, sizes);
  columns.data += tensor.column * size_of(tensor.dtype);
  columns.shape = shape;  // row_stride stays the base's
  return columns;
}

// A kernel may start before its predecessor ends only where it waits for it by itself.
void Interpreter::run(const SymbolValues& sizes, size_t begin, size_t end,
                      const CallObserver& observer) {
  device_.activate();
  LaunchContext context{
      .pool = device_.pool(),
      .stream = device_.stream(),
      .workspace = {memory_.workspace.get(), static_cast<size_t>(memory_.workspace_bytes)},
      .comm = comm_};
  std::vector<TensorView> inputs, outputs;
  for (size_t i = begin; i < end; ++i) {
    const Call& call = program_.calls[i];
    inputs.clear();
    outputs.clear();
    for (const TensorId id : call.inputs) inputs.push_back(view(id, sizes));
    for (const TensorId id : call.outputs) outputs.push_back(view(id, sizes));
    const Operands operands{.inputs = inputs, .outputs = outputs, .params = &call.params};
    if (!tactics_.empty()) context.tactic = tactics_[i];
    const bool may_overlap =
        i > begin && (programmatic_comm_ || !is_communication(program_.calls[i - 1].op));
    context.programmatic_launch = may_overlap && kernels_[i]->traits.programmatic;
    kernels_[i]->run(operands, context);
    if (observer) observer(call, operands);
  }
}

std::vector<const Kernel*> first_candidates(const Program& program, const KernelRegistry& registry,
                                            const SymbolValues& maxima,
                                            const KernelTarget& target) {
  std::vector<const Kernel*> kernels;
  for (const Call& call : program.calls) {
    kernels.push_back(registry.candidates(problem_of(program, call, maxima), target).front());
  }
  return kernels;
}

}  // namespace octavo
