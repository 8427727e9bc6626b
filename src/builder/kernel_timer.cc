// Timing of linears.
// SPDX-License-Identifier: Apache-2.0
#include "builder/kernel_timer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "builder/microseconds.h"
#include "builder/random_memory.h"
#include "core/checked.h"

namespace octavo {
namespace {

constexpr size_t kReplays = 5;
constexpr double kEnoughUs = 60e3;  // of a kernel's replays: large products need fewer
constexpr int64_t kLeastCalls = 6;  // in a graph
constexpr int64_t kCopies = 64;     // of what is cold, at most: little of it takes little time
constexpr int64_t kAlignment = 1024;

// Which input of a linear is its weight.
size_t weight_of(const Problem& problem) { return problem.op == Op::kAddRmsNormLinear ? 3 : 1; }

int64_t bytes_of(const Problem::Operand& operand) {
  return operand.present ? round_up(operand.shape.elements() * size_of(operand.dtype), kAlignment)
                         : 0;
}

}  // namespace

std::string to_string(const Problem& problem) {
  std::string text(to_string(problem.op));
  const auto add = [&text](const Problem::Operand& operand) {
    text += operand.present
                ? fmt::format(" {}{}", to_string(operand.dtype), to_string(operand.shape))
                : " -";
  };
  for (const Problem::Operand& operand : problem.inputs) add(operand);
  text += " ->";
  for (const Problem::Operand& operand : problem.outputs) add(operand);
  if (const auto* linear = std::get_if<LinearParams>(&problem.params))
    text += fmt::format(" segments {}", linear->segment_rows);
  if (const auto* linear = std::get_if<NormLinearParams>(&problem.params))
    text += fmt::format(" segments {}", linear->segment_rows);
  if (const auto* attention = std::get_if<AttentionParams>(&problem.params))
    text += fmt::format(" window {}", attention->window);
  return text;
}

// Room for weights that the device's cache cannot hold, however small they are.
void KernelTimer::reserve(int64_t bytes) {
  if (bytes <= memory_bytes_) return;
  memory_.reset();
  memory_ = random_memory(device_, bytes);
  memory_bytes_ = bytes;
}

TensorView KernelTimer::random_tensor(const Problem::Operand& operand, int64_t& offset) {
  if (!operand.present) return {};
  const TensorView view(memory_.get() + offset, operand.dtype, operand.shape);
  offset += bytes_of(operand);
  OCTAVO_CHECK(offset <= memory_bytes_);
  return view;
}

// All experts get about as many rows: of a few tokens as many experts are read as can be.
void KernelTimer::spread_rows(const TensorView& offsets, int64_t rows) {
  const int64_t experts = offsets.rows() - 1;
  const std::shared_ptr<std::byte[]> staging = device_.allocate_staging(offsets.bytes());
  for (int64_t i = 0; i <= experts; ++i)
    reinterpret_cast<int32_t*>(staging.get())[i] = static_cast<int32_t>(rows * i / experts);
  device_.upload(offsets.data, staging.get(), offsets.bytes());
  device_.synchronize();
}

struct KernelTimer::Bench {
  struct Cold {
    bool is_output;
    size_t index;
    int64_t bytes;
    std::byte* data = nullptr;  // of `copies`, between which a graph's calls take turns
  };
  std::vector<TensorView> inputs, outputs;
  std::vector<Cold> cold;
  int64_t copies = 1;
  std::span<std::byte> workspace;

  static std::vector<Cold> cold_operands(const Problem& problem) {
    if (problem.op != Op::kRopeAttention) {
      const size_t weight = weight_of(problem);
      return {{false, weight, bytes_of(problem.inputs[weight])}};
    }
    return {{true, 0, bytes_of(problem.outputs[0])}, {true, 1, bytes_of(problem.outputs[1])}};
  }
};

// What a graph repeats. It owns what it needs but for the problem and its operands.
struct KernelTimer::Calls {
  const Kernel& kernel;
  const Problem& problem;
  const Bench& bench;
  std::string tactic;
  LaunchContext context;

  int64_t count() const { return std::max(bench.copies, kLeastCalls); }

  void operator()() const {
    std::vector<TensorView> inputs = bench.inputs, outputs = bench.outputs;
    LaunchContext where = context;
    where.tactic = tactic;
    for (int64_t i = 0; i < count(); ++i) {
      for (const Bench::Cold& cold : bench.cold)
        (cold.is_output ? outputs : inputs)[cold.index].data =
            cold.data + i % bench.copies * cold.bytes;
      where.programmatic_launch = i > 0 && kernel.traits.programmatic;
      kernel.run({.inputs = inputs, .outputs = outputs, .params = &problem.params}, where);
    }
  }
};

struct KernelTimer::Trial {
  KernelTime time;
  int64_t calls = 1;
  std::unique_ptr<DeviceGraph> graph;
};

KernelTimer::Bench KernelTimer::make_bench(const Problem& problem,
                                           std::span<const Kernel* const> candidates) {
  Bench bench;
  bench.cold = Bench::cold_operands(problem);
  int64_t cold_bytes = 0;
  for (const Bench::Cold& cold : bench.cold) cold_bytes += cold.bytes;
  bench.copies =
      std::min(kCopies, 1 + 3 * device_.properties().l2_bytes / std::max<int64_t>(cold_bytes, 1));
  int64_t workspace_bytes = 0;
  for (const Kernel* kernel : candidates) {
    if (kernel->workspace != nullptr)
      workspace_bytes = std::max(workspace_bytes, kernel->workspace(problem));
  }
  int64_t bytes = bench.copies * cold_bytes;
  for (const Problem::Operand& operand : problem.inputs) bytes += bytes_of(operand);
  for (const Problem::Operand& operand : problem.outputs) bytes += bytes_of(operand);
  reserve(bytes + workspace_bytes + kAlignment);
  int64_t offset = 0;
  for (const Problem::Operand& operand : problem.inputs)
    bench.inputs.push_back(random_tensor(operand, offset));
  for (const Problem::Operand& operand : problem.outputs)
    bench.outputs.push_back(random_tensor(operand, offset));
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    if (op_info(problem.op).inputs[i].name == "offsets")
      spread_rows(bench.inputs[i], bench.inputs[0].rows());
  }
  for (Bench::Cold& cold : bench.cold) {
    cold.data = memory_.get() + offset;
    offset += bench.copies * cold.bytes;
  }
  bench.workspace = {memory_.get() + offset, static_cast<size_t>(workspace_bytes)};
  return bench;
}

// Indices must not be random.
void KernelTimer::fill_step(const TimedStep& step, Bench& bench) {
  for (size_t i = 0; i < bench.inputs.size(); ++i) {
    const std::vector<std::byte> contents = step.contents(i);
    const auto bytes = static_cast<int64_t>(contents.size());
    if (bytes == 0) continue;
    const std::shared_ptr<std::byte[]> staging = device_.allocate_staging(bytes);
    std::ranges::copy(contents, staging.get());
    device_.upload(bench.inputs[i].data, staging.get(), bytes);
    device_.synchronize();
  }
}

// A graph for each tactic; none where the kernel cannot run after all.
std::vector<KernelTimer::Trial> KernelTimer::capture(const Kernel& kernel, const Problem& problem,
                                                     const Bench& bench) {
  std::vector<std::string> tactics;
  if (kernel.tactics != nullptr) tactics = kernel.tactics(problem);
  if (tactics.empty()) tactics.emplace_back();
  const LaunchContext context{
      .pool = device_.pool(), .stream = device_.stream(), .workspace = bench.workspace};
  std::vector<Trial> trials;
  for (const std::string& tactic : tactics) {
    const Calls calls{kernel, problem, bench, tactic, context};
    try {
      calls();
      trials.push_back(
          {{.kernel = &kernel, .tactic = tactic}, calls.count(), device_.capture(calls)});
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kUnsupported) throw;
    }
  }
  return trials;
}

// Empty where a candidate is missing: it may be newer than the record.
std::vector<KernelTime> KernelTimer::recorded(const std::string& problem,
                                              std::span<const Kernel* const> candidates) const {
  const std::vector<TuningRecord>* records = records_ ? records_->find(problem) : nullptr;
  if (records == nullptr) return {};
  std::vector<KernelTime> times;
  std::set<const Kernel*> found;
  for (const TuningRecord& record : *records) {
    for (const Kernel* kernel : candidates) {
      if (kernel->name != record.kernel) continue;
      found.insert(kernel);
      if (record.us > 0)
        times.push_back({.kernel = kernel, .tactic = record.tactic, .us = record.us});
    }
  }
  return found.size() == candidates.size() ? times : std::vector<KernelTime>();
}

void KernelTimer::record(const std::string& problem, std::span<const Kernel* const> candidates,
                         std::span<const KernelTime> times) const {
  if (records_ == nullptr) return;
  std::vector<TuningRecord> records;
  for (const Kernel* kernel : candidates) {
    const size_t before = records.size();
    for (const KernelTime& time : times) {
      if (time.kernel == kernel)
        records.push_back({std::string(kernel->name), time.tactic, time.us});
    }
    if (records.size() == before) records.push_back({.kernel = std::string(kernel->name)});
  }
  records_->set(problem, std::move(records));
}

// The least of a few rounds; the first warms up.
std::vector<KernelTime> KernelTimer::measure(const Problem& asked,
                                             std::span<const Kernel* const> candidates) {
  device_.activate();
  std::optional<TimedStep> step;
  if (asked.op == Op::kRopeAttention) step.emplace(asked);
  const Problem& problem = step ? step->problem() : asked;
  Bench bench = make_bench(problem, candidates);
  if (step) fill_step(*step, bench);
  std::vector<Trial> trials;
  for (const Kernel* kernel : candidates) {
    for (Trial& trial : capture(*kernel, problem, bench)) trials.push_back(std::move(trial));
  }
  double measured_us = 0;
  const double enough_us = kEnoughUs * static_cast<double>(trials.size());
  for (size_t round = 0; round < 2 || (round < kReplays && measured_us < enough_us); ++round) {
    for (Trial& trial : trials) {
      device_.synchronize();
      const double start = microseconds();
      trial.graph->launch();
      device_.synchronize();
      const double us = microseconds() - start;
      measured_us += us;
      const double of_call = us / static_cast<double>(trial.calls);
      trial.time.us = round < 2 ? of_call : std::min(trial.time.us, of_call);
    }
  }
  std::vector<KernelTime> times;
  for (Trial& trial : trials) times.push_back(std::move(trial.time));
  return times;
}

double floor_us(const Problem& problem, const DeviceProperties& device) {
  const bool is_linear = KernelTimer::measures(problem) && problem.op != Op::kRopeAttention;
  if (!is_linear || device.bytes_per_s <= 0) return 0;
  double bytes = 0;
  for (const auto* operands : {&problem.inputs, &problem.outputs}) {
    for (const Problem::Operand& operand : *operands) {
      if (operand.present)
        bytes += static_cast<double>(operand.shape.elements() * size_of(operand.dtype));
    }
  }
  const Problem::Operand& matrix = problem.inputs[weight_of(problem)];
  const Shape &x = problem.inputs[0].shape, &weight = matrix.shape;
  if (weight.rank() == 3 && x[0] < weight[0]) {  // experts without rows
    const auto all = static_cast<double>(weight.elements() * size_of(matrix.dtype));
    bytes -= all * static_cast<double>(weight[0] - x[0]) / static_cast<double>(weight[0]);
  }
  const int64_t out = weight[weight.rank() - 2] * rows_in_row(matrix.dtype);
  const double products = 2.0 * static_cast<double>(x[0] * out) * static_cast<double>(x[1]);
  const DType factor =  // of a norm's x, codes are made
      problem.op == Op::kAddRmsNormLinear ? matrix.dtype : problem.inputs[0].dtype;
  const double flop_per_s = device.fp8_flop_per_s / size_of(factor);
  const double compute_us = flop_per_s > 0 ? 1e6 * products / flop_per_s : 0;
  return std::max(1e6 * bytes / device.bytes_per_s, compute_us);
}

const std::vector<KernelTime>& KernelTimer::time(const Problem& problem,
                                                 std::span<const Kernel* const> candidates) {
  const std::string name = to_string(problem);
  const auto [it, is_new] = times_.try_emplace(name);
  if (!is_new) return it->second;
  std::vector<const Kernel*> choices;
  for (const Kernel* kernel : candidates) {
    if (!kernel->traits.fallback || candidates.size() == 1) choices.push_back(kernel);
  }
  it->second = recorded(name, choices);
  if (it->second.empty()) {
    it->second = measure(problem, choices);
    record(name, choices, it->second);
  }
  std::stable_sort(it->second.begin(), it->second.end(),
                   [](const KernelTime& a, const KernelTime& b) { return a.us < b.us; });
  return it->second;
}

}  // namespace octavo
