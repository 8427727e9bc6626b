// Streams of the emulated device: each is a thread of the host that works through a queue.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace octavo::emulator {

using Work = std::vector<std::function<void()>>;

class Stream {
 public:
  Stream() : worker_([this] { run(); }) {}
  ~Stream();

  // Done by the worker, or joins the graph that the stream is captured into.
  void enqueue(std::function<void()> work);
  // Until the worker has done what it was asked for before; never part of a graph.
  void keep(std::shared_ptr<void> memory);
  // cudaErrorLaunchFailure where some work ended with an exception, which is printed.
  cudaError_t synchronize();

  bool is_captured() const { return captured_ != nullptr; }
  void begin_capture() { captured_ = std::make_unique<Work>(); }
  std::unique_ptr<Work> end_capture() { return std::move(captured_); }

 private:
  void run();

  std::unique_ptr<Work> captured_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false, ends_ = false;
  cudaError_t error_ = cudaSuccess;
  std::thread worker_;  // last: it uses the others
};

// Null: the stream of the device that calls without one share.
Stream& stream_of(cudaStream_t stream);

inline void enqueue(cudaStream_t stream, std::function<void()> work) {
  stream_of(stream).enqueue(std::move(work));
}

}  // namespace octavo::emulator
