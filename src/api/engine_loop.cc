// The engine's thread: tasks between steps.
// SPDX-License-Identifier: Apache-2.0
#include "api/engine_loop.h"

#include <future>

#include "core/error.h"

namespace octavo {

bool EngineLoop::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return false;
  tasks_.push_back(std::move(task));
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  wake_.notify_one();
  return true;
}

std::vector<RequestId> EngineLoop::submit(std::vector<Request> requests) {
  std::promise<std::vector<RequestId>> submitted;
  const bool posted = post([&] {
    try {
      submitted.set_value(submit_now(std::move(requests)));
    } catch (...) {
      submitted.set_exception(std::current_exception());
    }
  });
  if (!posted) throw Error(ErrorCategory::kUsage, "the LLM is shut down");
  return submitted.get_future().get();
}

std::vector<RequestId> EngineLoop::submit_now(std::vector<Request> requests) {
  std::vector<RequestId> ids;
  const auto silent = std::make_shared<bool>(false);
  try {
    for (Request& request : requests) {
      request.on_finish = [this, silent, inner = std::move(request.on_finish)](RequestOutput out) {
        live_.erase(out.id);
        if (inner && !*silent) inner(std::move(out));
      };
      if (request.on_token) {
        request.on_token = [silent,
                            inner = std::move(request.on_token)](const TokenUpdate& update) {
          if (!*silent) inner(update);
        };
      }
      ids.push_back(engine_.submit(std::move(request)));
      live_.insert(ids.back());
    }
  } catch (...) {
    *silent = true;
    for (const RequestId id : ids) engine_.abort(id);
    throw;
  }
  return ids;
}

void EngineLoop::abort(RequestId id) {
  post([this, id] { engine_.abort(id); });
}

void EngineLoop::rethrow_failure() const {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void EngineLoop::run() {
  bool has_work = false;
  bool stopping = false;
  while (!stopping || has_work) {
    std::vector<std::function<void()>> tasks;
    {
      std::unique_lock lock(mutex_);
      if (!has_work) wake_.wait(lock, [&] { return !tasks_.empty() || stopped_; });
      tasks.swap(tasks_);
      stopping = stopped_;
    }
    for (const std::function<void()>& task : tasks) task();
    if (stopping) {
      for (const RequestId id : std::set(live_)) engine_.abort(id);
    }
    has_work = step();
  }
}

// The engine has ended every request when it throws.
bool EngineLoop::step() {
  try {
    return engine_.step();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    return false;
  }
}

}  // namespace octavo
