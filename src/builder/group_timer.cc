// Timing of calls between ranks: a thread a rank, as the runtime has.
// SPDX-License-Identifier: Apache-2.0
#include "builder/group_timer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>

#include "builder/microseconds.h"
#include "core/checked.h"

namespace octavo {
namespace {

constexpr int64_t kAlignment = 1024;
constexpr int kReplays = 5;
constexpr int64_t kManyRows = 256;  // calls of fewer take microseconds: more of them a replay
constexpr int kFewCalls = 8, kManyCalls = 32;

// A call of one rank, with operands in memory of its own. Zeros are finite in every type, and what
// moves between ranks takes as long whatever it is.
class RankCall {
 public:
  RankCall(const Problem& problem, const Kernel& kernel, Device& device) : problem_(problem) {
    struct Offset {
      std::vector<TensorView>* views;
      size_t index;
      int64_t bytes;
    };
    std::vector<Offset> offsets;
    int64_t bytes = 0;
    const auto place = [&](const std::vector<Problem::Operand>& operands,
                           std::vector<TensorView>& views) {
      for (const Problem::Operand& operand : operands) {
        views.emplace_back();
        if (!operand.present) continue;
        views.back() = TensorView(nullptr, operand.dtype, operand.shape);
        offsets.push_back({&views, views.size() - 1, bytes});
        bytes += round_up(std::max<int64_t>(views.back().bytes(), 1), kAlignment);
      }
    };
    place(problem.inputs, inputs_);
    place(problem.outputs, outputs_);
    workspace_bytes_ = kernel.workspace == nullptr ? 0 : kernel.workspace(problem);
    memory_ = device.allocate(bytes + std::max<int64_t>(workspace_bytes_, 1));
    device.zero(memory_.get(), bytes);
    for (const auto& [views, index, offset] : offsets)
      (*views)[index].data = memory_.get() + offset;
    workspace_ = memory_.get() + bytes;
  }

  // So often, one launch joined to the next, as in a step.
  void run(const Kernel& kernel, const std::string& tactic, const GroupTimer::Rank& rank,
           int times) const {
    LaunchContext context{.pool = rank.device->pool(),
                          .stream = rank.device->stream(),
                          .workspace = {workspace_, static_cast<size_t>(workspace_bytes_)},
                          .tactic = tactic,
                          .comm = rank.comm.get()};
    for (int i = 0; i < times; ++i) {
      context.programmatic_launch = i > 0 && kernel.traits.programmatic;
      kernel.run({.inputs = inputs_, .outputs = outputs_, .params = &problem_.params}, context);
    }
  }

 private:
  const Problem& problem_;
  std::vector<TensorView> inputs_, outputs_;
  std::shared_ptr<std::byte[]> memory_;
  std::byte* workspace_ = nullptr;
  int64_t workspace_bytes_ = 0;
};

// Runs `work` for every rank in a thread of its own; a rank that throws ends the others' waiting.
// Throws what the first of them threw.
void on_all(std::span<const GroupTimer::Rank> ranks, const std::function<void(size_t)>& work) {
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ranks.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        ranks[i].device->activate();
        work(i);
        ranks[i].device->synchronize();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (first == nullptr) first = std::current_exception();
        for (const GroupTimer::Rank& rank : ranks) rank.comm->abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first != nullptr) std::rethrow_exception(first);
}

}  // namespace

bool GroupTimer::measures(const Problem& problem) {
  if (problem.op == Op::kAllReduceAddRmsNorm) return true;
  const auto* group = std::get_if<GroupParams>(&problem.params);
  return problem.op == Op::kAllGather && group != nullptr && group->by_rows;
}

double GroupTimer::time_one(const Kernel& kernel, const std::string& tactic,
                            const Problem& problem) {
  const int calls = problem.inputs[0].shape[0] < kManyRows ? kManyCalls : kFewCalls;
  // They stay until all ranks are done: whoever is first is read by the others still.
  std::vector<std::optional<RankCall>> operands(ranks_.size());
  std::vector<std::array<double, kReplays>> took(ranks_.size());
  std::barrier start(std::ssize(ranks_));
  on_all(ranks_, [&](size_t i) {
    Device& device = *ranks_[i].device;
    try {
      operands[i].emplace(problem, kernel, device);
      const auto run = [&] { operands[i]->run(kernel, tactic, ranks_[i], calls); };
      run();  // whatever is set up lazily
      const std::unique_ptr<DeviceGraph> graph = device.capture(run);
      for (double& us : took[i]) {
        device.synchronize();
        start.arrive_and_wait();
        const double begin = microseconds();
        graph->launch();
        device.synchronize();
        us = (microseconds() - begin) / calls;
      }
    } catch (...) {
      start.arrive_and_drop();  // the others do not wait for this rank
      throw;
    }
  });
  for (const Rank& rank : ranks_) rank.comm->check();
  double best = std::numeric_limits<double>::infinity();
  for (int replay = 0; replay < kReplays; ++replay) {
    double slowest = 0;
    for (const auto& of_rank : took) slowest = std::max(slowest, of_rank[replay]);
    best = std::min(best, slowest);
  }
  return best;
}

const std::vector<KernelTime>& GroupTimer::time(const Problem& problem,
                                                std::span<const Kernel* const> candidates) {
  std::string key = to_string(problem);
  if (const auto* params = std::get_if<ReduceNormParams>(&problem.params))
    key += fmt::format(" sharded {} user buffer {}", params->sharded, params->user_buffer);
  if (const auto known = times_.find(key); known != times_.end()) return known->second;
  std::vector<KernelTime> times;
  for (const Kernel* kernel : candidates) {
    std::vector<std::string> tactics;
    if (kernel->tactics != nullptr) tactics = kernel->tactics(problem);
    if (tactics.empty()) tactics.emplace_back();
    for (std::string& tactic : tactics) {
      const double us = time_one(*kernel, tactic, problem);
      times.push_back({.kernel = kernel, .tactic = std::move(tactic), .us = us});
    }
  }
  std::ranges::stable_sort(times, {}, &KernelTime::us);
  return times_.emplace(std::move(key), std::move(times)).first->second;
}

}  // namespace octavo
