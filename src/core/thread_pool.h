// A fixed pool of threads for data-parallel loops.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace octavo {

// Not re-entrant: `parallel_for` must not be called from inside its own body, nor from two threads
// at once.
class ThreadPool {
 public:
  // `threads` includes the caller; 0 means one a hardware thread that this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // Pieces done so far: it grows while a loop runs. May be asked from any thread.
  uint64_t pieces_done() const;

  // Calls body(begin, end) over disjoint pieces of [0, count), each at least `grain` long (the last
  // may be shorter), and returns when all are done. Pieces depend on count and grain alone, never
  // on the number of threads, so per-piece results are the same for any pool. The first exception
  // thrown by a body is rethrown.
  void parallel_for(int64_t count, int64_t grain,
                    const std::function<void(int64_t, int64_t)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace octavo
