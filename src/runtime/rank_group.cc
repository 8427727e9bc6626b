// Threads of ranks.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/rank_group.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
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
  StepHooks hooks;
};

// What a step leaves: a copy, where the rank goes on before anybody has looked.
struct Logits {
  TensorView view;
  Tensor copy;
};

}  // namespace

struct RankGroup::Rank {
  Rank(RankImage rank, const KernelRegistry& registry, const RankGroupOptions& options,
       Communicator* comm)
      : device(std::move(rank.device)),
        own_comm(std::move(rank.comm)),
        plans(std::move(rank.image), registry, *device, options.maxima,
              own_comm != nullptr ? own_comm.get() : comm),
        buffers(options.maxima, *device, options.steps_in_flight) {
    plans.start(buffers);
  }

  TensorView run(const Job& step) {
    check();  // a graph cannot
    device->activate();
    step.hooks.start(*device);
    buffers.upload(step.batch);
    const TensorView logits =
        plans.run(step.sizes, step.is_decode,
                  [this, inputs = step.hooks.inputs] { inputs(buffers, *device); });
    if (own_comm != nullptr) own_comm->end_step();
    return logits;
  }
  // Ends what the device waits for.
  void abort() noexcept {
    if (own_comm != nullptr) own_comm->abort();
  }
  void check() const {
    if (own_comm != nullptr) own_comm->check();
  }

  std::shared_ptr<Device> device;
  std::shared_ptr<Communicator> own_comm;
  PlanRunner plans;
  StepBuffers buffers;
};

// What the threads share, and own together.
struct RankGroup::Threads {
  Threads(const std::vector<RankImage>& images, const KernelRegistry& registry,
          const RankGroupOptions& options);
  ~Threads();

  static void work(const std::shared_ptr<Threads>& self, int64_t rank);
  void run(int64_t rank, const Job& job);
  bool runs_behind() const;
  void launch(Job job);
  void finish(const std::function<void(const TensorView&)>& use);
  void leave_logits(const TensorView& view);
  bool have_done(uint64_t jobs) const;
  void wait_until(const std::function<bool()>& done);
  void stop();

  LocalGroup group;
  std::chrono::milliseconds stall_limit;
  std::vector<std::unique_ptr<Rank>> ranks;
  int64_t logits_rank = 0;  // the last stage's first
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<const Job>> jobs;  // from the one that some rank has yet to take on
  uint64_t first_job = 0;                       // its number
  std::deque<Logits> logits;                    // of steps done and not finished yet
  bool stopping = false;
  uint64_t launched = 0, finished = 0;      // of whoever drives the ranks
  bool failed = false;                      // known to it
  std::vector<std::atomic<uint64_t>> done;  // jobs, by rank
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
      logits_rank(std::ssize(images) - images.front().image->config.tp_size),
      done(images.size()) {
  for (int64_t rank = 0; rank < std::ssize(images); ++rank) {
    ranks.push_back(std::make_unique<Rank>(images[static_cast<size_t>(rank)], registry, options,
                                           &group.member(rank)));
    group.set_busy(rank, false);
  }
}

// What devices were asked for may still use the memory of any rank: all of it is done, or given up,
// before the first rank's memory goes.
RankGroup::Threads::~Threads() {
  for (const auto& rank : ranks) {
    try {
      rank->device->synchronize();
    } catch (const Error&) {  // nothing runs on a device that failed
    }
  }
}

void RankGroup::Threads::run(int64_t rank, const Job& step) {
  group.set_busy(rank, true);
  try {
    const TensorView view = ranks[static_cast<size_t>(rank)]->run(step);
    if (rank == logits_rank) leave_logits(view);
  } catch (const std::exception& error) {
    group.fail(rank, error.what());
  }
  group.set_busy(rank, false);
  done[static_cast<size_t>(rank)].fetch_add(1, std::memory_order_acq_rel);
  group.notify();
}

void RankGroup::Threads::leave_logits(const TensorView& view) {
  Logits left{.view = view};
  if (runs_behind()) {
    OCTAVO_CHECK(view.dense());
    left.copy = Tensor(view.dtype, view.shape);
    std::memcpy(left.copy.data(), view.data, static_cast<size_t>(view.bytes()));
    left.view = left.copy.view();
  }
  const std::lock_guard lock(mutex);
  logits.push_back(std::move(left));
}

void RankGroup::Threads::work(const std::shared_ptr<Threads>& self, int64_t rank) {
  for (uint64_t taken = 0; true; ++taken) {
    std::shared_ptr<const Job> job;
    {
      std::unique_lock lock(self->mutex);
      self->wake.wait(
          lock, [&] { return self->stopping || self->first_job + self->jobs.size() > taken; });
      if (self->stopping) break;
      job = self->jobs[taken - self->first_job];
    }
    self->run(rank, *job);
  }
  self->alive.fetch_sub(1, std::memory_order_acq_rel);
  self->group.notify();
}

// Calls between ranks of the host return when they are done, those of devices at once.
bool RankGroup::Threads::runs_behind() const {
  const Rank& first = *ranks.front();
  return first.own_comm == nullptr && group.stages() > 1;
}

bool RankGroup::Threads::have_done(uint64_t jobs_done) const {
  return std::ranges::all_of(done, [jobs_done](const std::atomic<uint64_t>& count) {
    return count.load(std::memory_order_acquire) >= jobs_done;
  });
}

void RankGroup::Threads::launch(Job job) {
  // A group that failed says so here, before its ranks are asked for anything.
  wait_until([] { return true; });
  ++launched;
  {
    const std::lock_guard lock(mutex);
    while (!jobs.empty() && have_done(first_job + 1)) {
      jobs.pop_front();
      ++first_job;
    }
    jobs.push_back(std::make_shared<const Job>(std::move(job)));
  }
  wake.notify_all();
  if (!runs_behind()) wait_until([this] { return have_done(launched); });
}

void RankGroup::Threads::finish(const std::function<void(const TensorView&)>& use) {
  OCTAVO_CHECK(finished < launched);
  ++finished;
  const auto& last = done[static_cast<size_t>(logits_rank)];
  wait_until([&] { return last.load(std::memory_order_acquire) >= finished; });
  Logits oldest;
  {
    const std::lock_guard lock(mutex);
    oldest = std::move(logits.front());
    logits.pop_front();
  }
  use(oldest.view);
}

// The devices of the others wait for a rank that failed, too.
void RankGroup::Threads::wait_until(const std::function<bool()>& done) {
  try {
    group.wait_until([&] {
      for (const auto& rank : ranks) rank->check();
      return done();
    });
  } catch (...) {
    failed = true;
    for (const auto& rank : ranks) rank->abort();
    throw;
  }
}

// Ranks that return in time are joined; one that does not is left alone with what it uses.
void RankGroup::Threads::stop() {
  constexpr std::chrono::milliseconds kPatience{500};  // whoever has failed is not waited for twice
  const auto patience = failed || !group.failure().empty() ? kPatience : stall_limit;
  group.fail(0, "the engine was closed");  // whoever still waits for another rank gives up
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  const auto deadline = std::chrono::steady_clock::now() + patience;
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

bool RankGroup::runs_behind() const { return threads_ != nullptr && threads_->runs_behind(); }

void RankGroup::launch(const Batch& batch, const SymbolValues& sizes, bool is_decode,
                       const StepHooks& hooks) {
  Job job{batch, sizes, is_decode, hooks};
  if (threads_ != nullptr) return threads_->launch(std::move(job));
  logits_ = alone_.front()->run(job);
}

void RankGroup::finish(const std::function<void(const TensorView& logits)>& use) {
  if (threads_ != nullptr) return threads_->finish(use);
  use(logits_);
}

void RankGroup::check() const {
  for (const auto& rank : alone_) rank->check();
  if (threads_ == nullptr) return;
  for (const auto& rank : threads_->ranks) rank->check();
}

}  // namespace octavo
