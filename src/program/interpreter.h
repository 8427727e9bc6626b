// Interpreter: runs the calls of a Program with chosen kernels over bound tensors.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/device.h"
#include "ops/kernel.h"
#include "program/memory_plan.h"

namespace octavo {

// Sees every call after it ran; calibration hangs its statistics here.
using CallObserver = std::function<void(const Call& call, const Operands& operands)>;

// Device memory that calls use within a step. Interpreters that never run at the same time share
// it.
struct ProgramMemory {
  std::shared_ptr<std::byte[]> arena;  // of activations
  std::shared_ptr<std::byte[]> workspace;
  std::shared_ptr<std::byte[]> user_buffers;  // all of them, which other ranks read
  int64_t arena_bytes = 0;
  int64_t workspace_bytes = 0;
  int64_t user_buffer_bytes = 0;  // of one: at the same places for all who share the memory

  int64_t bytes() const { return arena_bytes + workspace_bytes + kUserBuffers * user_buffer_bytes; }

  // Enough for both.
  static ProgramMemory largest(const ProgramMemory& a, const ProgramMemory& b);
  void allocate(Device& device);
};

// What these calls need for `maxima`; nothing is allocated yet.
ProgramMemory memory_needs(const Program& program, std::span<const Kernel* const> kernels,
                           const SymbolValues& maxima);

class Interpreter {
 public:
  // `kernels`: one a call. With `memory` not allocated, the interpreter allocates its own.
  Interpreter(const Program& program, std::vector<const Kernel*> kernels,
              const SymbolValues& maxima, Device& device, ProgramMemory memory = {});

  const Program& program() const { return program_; }
  std::span<const Kernel* const> kernels() const { return kernels_; }

  // Binds an input, a weight or a cache: type and row stride are the view's, the shape that of the
  // Program in each run.
  void bind(TensorId id, const TensorView& view);

  // One a call, as ops/kernel.h says; they outlive the interpreter.
  void set_tactics(std::span<const std::string> tactics);

  // Of the rank that runs this Program; null: it runs alone.
  // `programmatic`: its kernels let the next one start before they end.
  void set_comm(Communicator* comm, bool programmatic = true) {
    comm_ = comm;
    programmatic_comm_ = programmatic;
  }

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
  std::span<const std::string> tactics_;  // empty, or one a call
  MemoryPlan plan_;
  Device& device_;
  ProgramMemory memory_;
  std::vector<TensorView> bound_;
  Communicator* comm_ = nullptr;
  bool programmatic_comm_ = true;
};

// For every call the registry's first candidate on a device.
std::vector<const Kernel*> first_candidates(const Program& program, const KernelRegistry& registry,
                                            const SymbolValues& maxima,
                                            const KernelTarget& target = DeviceType::kCpu);

}  // namespace octavo
