// Threads of ranks.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/rank_group.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "comm/local.h"

namespace octavo {
namespace {

// One step; ranks that fell behind keep their own.
struct Job {
  Batch batch;
  SymbolValues sizes;
  bool is_decode = false;
};

}  // namespace

struct RankGroup::Rank {
  Rank(RankImage rank, const KernelRegistry& registry, const RankGroupOptions& options,
       Communicator* comm)
      : device(std::move(rank.device)),
        plans(std::move(rank.image), registry, *device, options.maxima, comm),
        buffers(options.maxima, *device, options.steps_in_flight) {
    plans.start(buffers);
  }

  std::shared_ptr<Device> device;
  PlanRunner plans;
  StepBuffers buffers;
};

// What the threads share, and own together.
struct RankGroup::Threads {
  Threads(const std::vector<RankImage>& images, const KernelRegistry& registry,
          const RankGroupOptions& options);

  static void work(const std::shared_ptr<Threads>& self, int64_t rank);
  void run(int64_t rank, const Job& job);
  TensorView run_on_all(std::shared_ptr<const Job> next);
  void stop();

  LocalGroup group;
  std::chrono::milliseconds stall_limit;
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<TensorView> logits;  // by rank
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  std::shared_ptr<const Job> job;
  uint64_t generation = 0;
  bool stopping = false;
  std::atomic<int64_t> running{0};
  std::atomic<int64_t> alive{0};
};

namespace {

// Pieces of work that the pools of all ranks have done.
std::function<uint64_t()> work_done_by(const std::vector<RankImage>& images) {
  std::vector<const ThreadPool*> pools;
  for (const RankImage& image : images) pools.push_back(image.device->pool());
  return [pools] {
    uint64_t pieces = 0;
    for (const ThreadPool* pool : pools) pieces += pool == nullptr ? 0 : pool->pieces_done();
    return pieces;
  };
}

}  // namespace

RankGroup::Threads::Threads(const std::vector<RankImage>& images, const KernelRegistry& registry,
                            const RankGroupOptions& options)
    : group(images.front().image->config.tp_size, images.front().image->config.pp_size,
            {.stall_limit = options.stall_limit, .work_done = work_done_by(images)}),
      stall_limit(options.stall_limit),
      logits(images.size()) {
  for (int64_t rank = 0; rank < std::ssize(images); ++rank) {
    ranks.push_back(std::make_unique<Rank>(images[static_cast<size_t>(rank)], registry, options,
                                           &group.member(rank)));
    group.set_busy(rank, false);
  }
}

void RankGroup::Threads::run(int64_t rank, const Job& step) {
  Rank& own = *ranks[static_cast<size_t>(rank)];
  group.set_busy(rank, true);
  try {
    own.buffers.upload(step.batch);
    logits[static_cast<size_t>(rank)] = own.plans.run(step.sizes, step.is_decode, [] {});
  } catch (const std::exception& error) {
    group.fail(rank, error.what());
  }
  group.set_busy(rank, false);
  running.fetch_sub(1, std::memory_order_acq_rel);
  group.notify();
}

void RankGroup::Threads::work(const std::shared_ptr<Threads>& self, int64_t rank) {
  uint64_t seen = 0;
  while (true) {
    std::shared_ptr<const Job> job;
    {
      std::unique_lock lock(self->mutex);
      self->wake.wait(lock, [&] { return self->stopping || self->generation != seen; });
      if (self->stopping) break;
      seen = self->generation;
      job = self->job;
    }
    self->run(rank, *job);
  }
  self->alive.fetch_sub(1, std::memory_order_acq_rel);
  self->group.notify();
}

TensorView RankGroup::Threads::run_on_all(std::shared_ptr<const Job> next) {
  // A group that failed says so here, before its ranks are asked for anything.
  group.wait_until([] { return true; });
  running = std::ssize(ranks);
  {
    const std::lock_guard lock(mutex);
    job = std::move(next);
    ++generation;
  }
  wake.notify_all();
  group.wait_until([this] { return running.load(std::memory_order_acquire) == 0; });
  const int64_t first_of_last_stage = std::ssize(ranks) - group.member(0).place().tp_size;
  return logits[static_cast<size_t>(first_of_last_stage)];
}

// Ranks that return in time are joined; one that does not is left alone with what it uses.
void RankGroup::Threads::stop() {
  group.fail(0, "the engine was closed");  // whoever still waits for another rank gives up
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  const auto deadline = std::chrono::steady_clock::now() + stall_limit;
  while (alive.load(std::memory_order_acquire) > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const bool all_ended = alive.load(std::memory_order_acquire) == 0;
  for (std::thread& thread : threads) all_ended ? thread.join() : thread.detach();
  threads.clear();
}

RankGroup::RankGroup(std::vector<RankImage> ranks, const KernelRegistry& registry,
                     const RankGroupOptions& options) {
  if (ranks.size() == 1) {
    alone_.push_back(std::make_unique<Rank>(std::move(ranks.front()), registry, options, nullptr));
    return;
  }
  threads_ = std::make_shared<Threads>(ranks, registry, options);
  threads_->alive = std::ssize(ranks);
  for (int64_t rank = 0; rank < std::ssize(ranks); ++rank)
    threads_->threads.emplace_back([shared = threads_, rank] { Threads::work(shared, rank); });
}

RankGroup::~RankGroup() {
  if (threads_ != nullptr) threads_->stop();
}

int64_t RankGroup::padded(int64_t sequences) const {
  const Rank& first = alone_.empty() ? *threads_->ranks.front() : *alone_.front();
  return first.plans.padded(sequences);
}

TensorView RankGroup::run(const Batch& batch, const SymbolValues& sizes, bool is_decode,
                          const std::function<void(const StepBuffers&)>& before) {
  if (threads_ != nullptr)
    return threads_->run_on_all(std::make_shared<const Job>(Job{batch, sizes, is_decode}));
  Rank& rank = *alone_.front();
  rank.buffers.upload(batch);
  return rank.plans.run(sizes, is_decode, [&rank, before] { before(rank.buffers); });
}

}  // namespace octavo
