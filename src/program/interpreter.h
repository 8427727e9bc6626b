// Interpreter: runs the calls of a Program with chosen kernels over bound tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ops/kernel.h"
#include "program/batch.h"
#include "program/memory_plan.h"

namespace octavo {

// Sees every call after it ran; calibration hangs its statistics here.
using CallObserver = std::function<void(const Call& call, const Operands& operands)>;

class Interpreter {
 public:
  // `kernels`: one a call. The arena for activations and workspace is allocated for `maxima`.
  Interpreter(const Program& program, std::vector<const Kernel*> kernels,
              const SymbolValues& maxima, ThreadPool& pool);

  const Program& program() const { return program_; }
  int64_t arena_bytes() const { return plan_.bytes; }

  // Binds an input, a weight or a cache. Shapes and types must be those of the Program.
  void bind(TensorId id, const TensorView& view);
  // Binds every input from a batch, which must outlive the run.
  void bind(const Batch& batch);

  // Runs calls [begin, end) with these sizes; `observer` may be null.
  void run(const SymbolValues& sizes, size_t begin, size_t end,
           const CallObserver& observer = nullptr);
  void run(const SymbolValues& sizes) { run(sizes, 0, program_.calls.size()); }

  // The tensor as the last run left it (activations stay valid until their memory is reused by a
  // later call).
  TensorView view(TensorId id, const SymbolValues& sizes) const;

 private:
  const Program& program_;
  std::vector<const Kernel*> kernels_;
  MemoryPlan plan_;
  ThreadPool& pool_;
  std::shared_ptr<std::byte[]> arena_;
  std::shared_ptr<std::byte[]> workspace_;
  int64_t workspace_bytes_ = 0;
  std::vector<TensorView> bound_;
};

// For every call the registry's first candidate on the CPU.
std::vector<const Kernel*> first_candidates(const Program& program, const KernelRegistry& registry,
                                            const SymbolValues& maxima);

}  // namespace octavo
