// Runs an executor on a thread of its own: a step runs while the next is scheduled.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "runtime/step.h"

namespace octavo::testing {

class ThreadedExecutor : public StepExecutor {
 public:
  explicit ThreadedExecutor(StepExecutor& inner) : inner_(inner), thread_([this] { run(); }) {}
  ~ThreadedExecutor() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void launch(const Step& step) override {
    const std::lock_guard lock(mutex_);
    steps_.push_back(step);
    changed_.notify_all();
  }

  StepResult wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !results_.empty(); });
    StepResult result = std::move(results_.front());
    results_.pop_front();
    return result;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || !steps_.empty(); });
      if (stop_) return;
      const Step step = std::move(steps_.front());
      steps_.pop_front();
      lock.unlock();
      inner_.launch(step);
      StepResult result = inner_.wait();
      lock.lock();
      results_.push_back(std::move(result));
      changed_.notify_all();
    }
  }

  StepExecutor& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Step> steps_;
  std::deque<StepResult> results_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace octavo::testing
