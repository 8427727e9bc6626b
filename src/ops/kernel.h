// Kernels: the contract between a call of a Program and its code, and the registry of them all.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"
#include "ops/op.h"

namespace octavo {

class Communicator;  // comm/comm.h

// One call as a kernel is asked about it: shapes and types, no pointers. `rows` is the most tokens
// (or logit rows) that the plan's bucket can hold; symbolic dims are already evaluated to their
// maxima.
struct Problem {
  struct Operand {
    Shape shape;
    DType dtype = DType::kF32;
    bool present = false;
  };
  Op op = Op::kAdd;
  OpParams params;
  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
};

// Pointers of one call. An absent optional operand is a default TensorView (`defined()` is false).
struct Operands {
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;
  const OpParams* params = nullptr;
};

// Where a kernel runs. `run` never allocates device memory, synchronises or reads back.
struct LaunchContext {
  ThreadPool* pool = nullptr;        // CPU kernels
  void* stream = nullptr;            // CUDA kernels: cudaStream_t
  bool programmatic_launch = false;  // wait on the grid dependency (PDL)
  std::span<std::byte> workspace;    // at least what `workspace` asked for
  std::string_view tactic;           // one of `tactics`; empty: the kernel's own choice
  Communicator* comm = nullptr;      // of this rank; null where it runs alone
};

struct KernelTraits {
  DeviceType device = DeviceType::kCpu;
  bool capturable = true;       // may be part of a CUDA graph
  bool programmatic = false;    // takes part in programmatic dependent launch
  bool batch_invariant = true;  // a row's result does not depend on the other rows
  bool fallback = false;        // simple and slow: taken where nothing else supports a call
  bool unfused = false;         // runs the calls that its op stands for, one after another
  int only_major = 0;           // compute capability that it is for: 9 for 9.x; 0: any
  std::string_view plugin;      // the flag of `octavo build` that admits it; empty: always there
};

// "yes", or the reason why not.
struct Verdict {
  bool supported = true;
  std::string reason;

  static Verdict yes() { return {}; }
  static Verdict no(std::string why) { return {false, std::move(why)}; }
};

struct DeviceKernels;  // ops/device_kernels.h

struct Kernel {
  std::string_view name;  // by contract, unique: "cpu_linear_e4m3"
  Op op;
  KernelTraits traits;
  Verdict (*supports)(const Problem&);
  int64_t (*workspace)(const Problem&);  // bytes; may be null: none
  void (*run)(const Operands&, const LaunchContext&);
  // Ways to run it that differ in speed and in the order of sums alone, for a builder to measure.
  // A tactic that does not fit is the kernel's own choice: it may come from another version's
  // engine file. May be null: none.
  std::vector<std::string> (*tactics)(const Problem&) = nullptr;
};

// What kernels are asked to run on.
struct KernelTarget {
  DeviceType device = DeviceType::kCpu;
  int compute_capability = 0;  // 90 for 9.0; 0: not known, and then any

  KernelTarget(DeviceType type) : device(type) {}  // NOLINT: a type is a target
  KernelTarget(const Device& on)                   // NOLINT: so is a device
      : device(on.type()), compute_capability(on.properties().compute_capability) {}

  Verdict runs(const Kernel& kernel) const;
};

// All kernels of the backends that this program was built with; tables stand in order of
// preference.
class KernelRegistry {
 public:
  void add(std::span<const Kernel> table) {
    kernels_.insert(kernels_.end(), table.begin(), table.end());
  }

  void add(const DeviceKernels& kernels) { device_kernels_.push_back(&kernels); }

  std::span<const Kernel> all() const { return kernels_; }
  // The kernels of a target that support the problem, in order of preference. Where none does,
  // throws Error(kUnsupported) listing every candidate's reason.
  std::vector<const Kernel*> candidates(const Problem& problem, const KernelTarget& target) const;
  // Null where no kernel has that name.
  const Kernel* find(std::string_view name) const;
  // Null where the device has none.
  const DeviceKernels* beside(const KernelTarget& target) const;

 private:
  std::vector<const DeviceKernels*> device_kernels_;
  std::vector<Kernel> kernels_;
};

}  // namespace octavo
