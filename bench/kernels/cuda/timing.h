// Timing of device work: a CUDA graph of many calls, replayed; medians. And the rows of the result.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "backend/cuda/cuda_check.h"

namespace octavo::bench {

class Stream {
 public:
  Stream() { OCTAVO_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// A captured graph; `body` enqueues its work on the stream.
class Graph {
 public:
  Graph(cudaStream_t stream, const std::function<void()>& body) : stream_(stream) {
    cudaGraph_t graph = nullptr;
    OCTAVO_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    try {
      body();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      cudaGraphDestroy(graph);
      throw;
    }
    OCTAVO_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    OCTAVO_CUDA_CHECK(status);
    for (cudaEvent_t& event : events_) OCTAVO_CUDA_CHECK(cudaEventCreate(&event));
  }
  ~Graph() {
    cudaGraphExecDestroy(executable_);
    for (const cudaEvent_t event : events_) cudaEventDestroy(event);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  float replay_us() const {
    OCTAVO_CUDA_CHECK(cudaEventRecord(events_[0], stream_));
    OCTAVO_CUDA_CHECK(cudaGraphLaunch(executable_, stream_));
    OCTAVO_CUDA_CHECK(cudaEventRecord(events_[1], stream_));
    OCTAVO_CUDA_CHECK(cudaEventSynchronize(events_[1]));
    float milliseconds = 0;
    OCTAVO_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, events_[0], events_[1]));
    return milliseconds * 1000.0f;
  }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
  cudaEvent_t events_[2] = {};
};

// Median of `samples` replays after two warm-ups, in µs a call.
inline double time_calls(cudaStream_t stream, int calls, const std::function<void(int)>& call,
                         int samples = 7) {
  const Graph graph(stream, [&] {
    for (int i = 0; i < calls; ++i) call(i);
  });
  std::vector<float> times;
  for (int i = 0; i < samples + 2; ++i) times.push_back(graph.replay_us());
  times.erase(times.begin(), times.begin() + 2);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] / calls;
}

// Rows of the result file: each a JSON object.
class Results {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    rows_.push_back(fmt::format(format, std::forward<Args>(args)...));
    fmt::print("{}\n", rows_.back());
    std::fflush(stdout);
  }
  std::string json(const std::string& device) const {
    std::string text = fmt::format("{{\"device\": {},\n\"rows\": [\n", device);
    for (size_t i = 0; i < rows_.size(); ++i)
      text += fmt::format("{}{}\n", rows_[i], i + 1 < rows_.size() ? "," : "");
    return text + "]}\n";
  }

 private:
  std::vector<std::string> rows_;
};

}  // namespace octavo::bench
