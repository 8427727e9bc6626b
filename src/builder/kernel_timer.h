// KernelTimer: measures the kernels that support a call on the device where they will run.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "builder/timed_step.h"
#include "builder/tuning_records.h"
#include "core/device.h"
#include "ops/kernel.h"

namespace octavo {

struct KernelTime {
  const Kernel* kernel = nullptr;
  std::string tactic;  // of the kernel; empty: its own choice
  double us = 0;       // of one call in a row of them
};

// Kernels are measured as a step runs them: in a graph, joined by programmatic launches where they
// take part in these, and in turns, so that a GPU at its power limit is as warm for each. Linears
// alone are measured, and what competes with a fusion: their candidates differ with every size,
// where those of the other ops are ranked. What a step reads once is cold: the weight of a linear,
// the caches of a rope_attention. Results are kept, so that equal calls of all layers and
// plans are measured once.
class KernelTimer {
 public:
  // `records`: asked before anything is measured, and told what was; may be null.
  explicit KernelTimer(Device& device, TuningRecords* records = nullptr)
      : device_(device), records_(records) {}

  const DeviceProperties& device() const { return device_.properties(); }
  TuningRecords* records() const { return records_; }

  static bool measures(const Problem& problem) {
    return problem.op == Op::kLinear || problem.op == Op::kLinearSwiglu ||
           problem.op == Op::kGroupedLinear || problem.op == Op::kGroupedLinearSwiglu ||
           problem.op == Op::kRopeAttention || problem.op == Op::kAddRmsNormLinear;
  }

  // Every candidate with every tactic of its own, fastest first; a candidate that cannot run after
  // all is left out.
  const std::vector<KernelTime>& time(const Problem& problem,
                                      std::span<const Kernel* const> candidates);

 private:
  std::vector<KernelTime> recorded(const std::string& problem,
                                   std::span<const Kernel* const> candidates) const;
  void record(const std::string& problem, std::span<const Kernel* const> candidates,
              std::span<const KernelTime> times) const;
  std::vector<KernelTime> measure(const Problem& asked, std::span<const Kernel* const> candidates);
  struct Bench;  // the operands of a problem in memory, and how often cold ones are repeated there
  struct Calls;
  struct Trial;

  Bench make_bench(const Problem& problem, std::span<const Kernel* const> candidates);
  std::vector<Trial> capture(const Kernel& kernel, const Problem& problem, const Bench& bench);
  void fill_step(const TimedStep& step, Bench& bench);
  TensorView random_tensor(const Problem::Operand& operand, int64_t& offset);
  void spread_rows(const TensorView& offsets, int64_t rows);
  void reserve(int64_t bytes);

  Device& device_;
  TuningRecords* records_;
  std::shared_ptr<std::byte[]> memory_;  // of operands, filled with random values
  int64_t memory_bytes_ = 0;
  std::map<std::string, std::vector<KernelTime>> times_;
};

// The least time that a linear can take on a device: its operands moved once, or its products at
// the rate of the tensor cores. 0: not known.
double floor_us(const Problem& problem, const DeviceProperties& device);

// One line that names the problem: op, types, shapes, segments.
std::string to_string(const Problem& problem);

}  // namespace octavo
