// The worker of a stream.
// SPDX-License-Identifier: Apache-2.0
#include "stream.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>

namespace octavo::emulator {

Stream::~Stream() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void Stream::enqueue(std::function<void()> work) {
  if (captured_ != nullptr) return captured_->push_back(std::move(work));
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void Stream::keep(std::shared_ptr<void> memory) {
  const std::lock_guard lock(mutex_);
  if (queue_.empty() && !busy_) return;
  queue_.push_back([memory = std::move(memory)] {});
}

cudaError_t Stream::synchronize() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
  return error_;
}

void Stream::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ends_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    cudaError_t error = cudaSuccess;
    try {
      work();
    } catch (const std::exception& fault) {
      fmt::print(stderr, "emulated device: {}\n", fault.what());
      error = cudaErrorLaunchFailure;
    }
    lock.lock();
    if (error != cudaSuccess) error_ = error;
    busy_ = false;
    changed_.notify_all();
  }
}

Stream& stream_of(cudaStream_t stream) {
  static Stream of_null;
  return stream == nullptr ? of_null : *reinterpret_cast<Stream*>(stream);
}

}  // namespace octavo::emulator
