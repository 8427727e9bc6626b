// The choice among tactics of neighbours, by whole layers.
// SPDX-License-Identifier: Apache-2.0
#include "builder/neighbour_tactics.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "program/rewrite.h"

namespace octavo {
namespace {

constexpr double kWorthwhile = 0.995;  // of the time without: less is noise

std::string name_of(const AttentionNeighbours& each) {
  return fmt::format("{} | {} | {}", each.before, each.attention, each.behind);
}

void set_if_free(std::string& tactic, std::string_view to) {
  if (tactic.empty()) tactic = to;
}

// The tactics of the plan's calls with these around every attention.
std::vector<std::string> with(const Plan& plan, const AttentionNeighbours& each) {
  const Program& program = plan.program;
  std::vector<std::string> tactics = plan.tactics;
  for (size_t i = 0; i < program.calls.size(); ++i) {
    const Call& call = program.calls[i];
    if (call.op != Op::kAttention && call.op != Op::kRopeAttention) continue;
    set_if_free(tactics[i], each.attention);
    for (size_t before = i; before-- > 0;) {
      if (program.calls[before].layer != call.layer) break;
      if (program.calls[before].role != Role::kQkv) continue;
      set_if_free(tactics[before], each.before);
      break;
    }
    for (const int behind : consumers_of(program, call.outputs.back())) {
      if (program.calls[static_cast<size_t>(behind)].role == Role::kO)
        set_if_free(tactics[static_cast<size_t>(behind)], each.behind);
    }
  }
  return tactics;
}

// Without any first.
std::vector<TuningRecord> measure(const Plan& plan, std::span<const Kernel* const> kernels,
                                  const SymbolValues& sizes,
                                  std::span<const AttentionNeighbours> neighbours,
                                  const LayerTimer& timer) {
  std::vector<std::vector<std::string>> tactics = {plan.tactics};
  std::vector<TuningRecord> times = {{.kernel = "layer"}};
  for (const AttentionNeighbours& each : neighbours) {
    tactics.push_back(with(plan, each));
    times.push_back({.kernel = "layer", .tactic = name_of(each)});
  }
  const std::vector<double> us = timer.time(plan.program, kernels, sizes, tactics);
  for (size_t i = 0; i < times.size(); ++i) times[i].us = us[i];
  return times;
}

std::string key_of(const Plan& plan, const SymbolValues& sizes) {
  const LayerProgram layer = middle_layer(plan.program);
  std::string key = fmt::format("layer of {} tokens", sizes.tokens);
  for (size_t i = 0; i < layer.program.calls.size(); ++i) {
    key += fmt::format(" | {} {}", plan.kernels[layer.first + i], plan.tactics[layer.first + i]);
    for (const TensorId id : layer.program.calls[i].outputs)
      key += to_string(layer.program.tensor(id).shape);
  }
  return key;
}

}  // namespace

void choose_neighbour_tactics(Plan& plan, std::span<const Kernel* const> kernels,
                              const SymbolValues& sizes,
                              std::span<const AttentionNeighbours> neighbours,
                              const LayerTimer& timer, TuningRecords* records) {
  const std::string key = key_of(plan, sizes);
  const std::vector<TuningRecord>* known = records == nullptr ? nullptr : records->find(key);
  std::vector<TuningRecord> times;
  if (known != nullptr) {
    times = *known;
  } else {
    times = measure(plan, kernels, sizes, neighbours, timer);
    if (records != nullptr) records->set(key, times);
  }
  const auto time_of = [&](std::string_view tactic) {
    const auto found = std::ranges::find(times, tactic, &TuningRecord::tactic);
    return found == times.end() ? std::numeric_limits<double>::infinity() : found->us;
  };
  const AttentionNeighbours* best = nullptr;
  double least = kWorthwhile * time_of("");
  for (const AttentionNeighbours& each : neighbours) {
    if (time_of(name_of(each)) >= least) continue;
    best = &each;
    least = time_of(name_of(each));
  }
  if (best != nullptr) plan.tactics = with(plan, *best);
}

}  // namespace octavo
