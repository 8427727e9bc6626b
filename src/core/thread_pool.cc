// A fixed pool of threads; workers spin before they sleep: decode issues many short loops.
// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/checked.h"

namespace octavo {
namespace {

int available_threads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

constexpr int kSpins = 4000;

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable finished;
  bool stop = false;
  std::atomic<uint64_t> generation{0};
  std::atomic<int> running{0};

  // The current loop.
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t count = 0;
  int64_t grain = 1;
  std::atomic<int64_t> next{0};
  std::exception_ptr error;
  std::atomic<uint64_t> pieces_done{0};

  void run_pieces() {
    while (true) {
      const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      try {
        (*body)(begin, std::min(count, begin + grain));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      pieces_done.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void worker() {
    uint64_t seen = 0;
    while (true) {
      for (int spin = 0; spin < kSpins && generation.load(std::memory_order_acquire) == seen;
           ++spin) {
        __builtin_ia32_pause();
      }
      if (generation.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop || generation.load(std::memory_order_acquire) != seen; });
        if (stop) return;
      }
      seen = generation.load(std::memory_order_acquire);
      run_pieces();
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        const std::lock_guard lock(mutex);
        finished.notify_one();
      }
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int total = threads > 0 ? threads : available_threads();
  for (int i = 1; i < total; ++i) state_->workers.emplace_back([this] { state_->worker(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::size() const { return static_cast<int>(state_->workers.size()) + 1; }

uint64_t ThreadPool::pieces_done() const {
  return state_->pieces_done.load(std::memory_order_relaxed);
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(1, grain);
  State& state = *state_;
  if (state.workers.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain)
      body(begin, std::min(count, begin + grain));
    state.pieces_done.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  state.body = &body;
  state.count = count;
  state.grain = grain;
  state.next.store(0, std::memory_order_relaxed);
  state.error = nullptr;
  state.running.store(static_cast<int>(state.workers.size()), std::memory_order_release);
  {
    const std::lock_guard lock(state.mutex);
    state.generation.fetch_add(1, std::memory_order_acq_rel);
  }
  state.wake.notify_all();
  state.run_pieces();
  for (int spin = 0; spin < kSpins && state.running.load(std::memory_order_acquire) > 0; ++spin) {
    __builtin_ia32_pause();
  }
  std::unique_lock lock(state.mutex);
  state.finished.wait(lock, [&] { return state.running.load(std::memory_order_acquire) == 0; });
  if (state.error) std::rethrow_exception(state.error);
}

}  // namespace octavo
