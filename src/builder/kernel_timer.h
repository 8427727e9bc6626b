// KernelTimer: measures the kernels that support a call on the device where they will run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/device.h"
#include "ops/kernel.h"

namespace octavo {

struct KernelTime {
  const Kernel* kernel = nullptr;
  std::string tactic;  // of the kernel; empty: its own choice
  double us = 0;       // of one call, weights cold
};

// Linears alone are measured: their candidates differ with every size, where those of the other
// ops are ranked. Results are kept, so that equal calls of all layers and plans are measured once.
class KernelTimer {
 public:
  explicit KernelTimer(Device& device) : device_(device) {}

  static bool measures(const Problem& problem) { return problem.op == Op::kLinear; }

  // Every candidate with every tactic of its own, fastest first; a candidate that cannot run after
  // all is left out.
  const std::vector<KernelTime>& time(const Problem& problem,
                                      std::span<const Kernel* const> candidates);

 private:
  double time_one(const Kernel& kernel, const std::string& tactic, const Problem& problem);
  TensorView random_tensor(const Problem::Operand& operand, int64_t& offset);
  void reserve(int64_t bytes);

  Device& device_;
  std::shared_ptr<std::byte[]> memory_;  // of operands, filled with random values
  int64_t memory_bytes_ = 0;
  std::map<std::string, std::vector<KernelTime>> times_;
};

// One line that names the problem: op, types, shapes, segments.
std::string to_string(const Problem& problem);

}  // namespace octavo
