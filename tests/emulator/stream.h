// Work of a stream of the emulated device.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

namespace octavo::emulator {

// Runs at once, or joins the graph that the stream is captured into.
void enqueue(cudaStream_t stream, std::function<void()> work);

}  // namespace octavo::emulator
