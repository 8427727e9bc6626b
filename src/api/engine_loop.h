// EngineLoop: a thread that drives an Engine, so that requests may come from any thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "runtime/engine.h"

namespace octavo {

class EngineLoop {
 public:
  // The thread starts with the first request.
  explicit EngineLoop(Engine& engine) : engine_(engine) {}
  ~EngineLoop() { stop(); }
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // All at once between two steps, or none: where one is refused, its Error is thrown and the
  // others' callbacks are not called.
  std::vector<RequestId> submit(std::vector<Request> requests);
  // Returns at once; nothing happens to a request that is finished.
  void abort(RequestId id);
  // Throws what made the engine unusable, if anything did.
  void rethrow_failure() const;
  // Aborts what is left, delivers it, and ends the thread; nothing is accepted afterwards.
  void stop();

 private:
  // False after stop().
  bool post(std::function<void()> task);
  std::vector<RequestId> submit_now(std::vector<Request> requests);
  void run();
  bool step();

  Engine& engine_;
  std::set<RequestId> live_;  // the thread's own
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> tasks_;
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace octavo
