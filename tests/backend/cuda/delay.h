// Random delays of a stream, anew in every replay of a graph.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <random>

#include "backend/cuda/cuda_check.h"

namespace octavo::testing {

class RandomDelays {
 public:
  RandomDelays(uint32_t seed, cudaStream_t stream) : random_(seed), stream_(stream) {}

  // Up to 20 microseconds, and now and then 200; this outlives the stream's work.
  void launch() { OCTAVO_CUDA_CHECK(cudaLaunchHostFunc(stream_, wait, this)); }

 private:
  static void wait(void* self) {
    auto& random = static_cast<RandomDelays*>(self)->random_;
    const unsigned longest = random() % 97 == 0 ? 200 : 20;
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % longest);
    while (std::chrono::steady_clock::now() < end) {
    }
  }

  std::mt19937 random_;
  cudaStream_t stream_;
};

}  // namespace octavo::testing
