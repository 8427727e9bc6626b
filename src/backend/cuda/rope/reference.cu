// RoPE, the plain version: sines, cosines and the rotation in double, one block a token.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/rope/rope_kv_append.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;

template <typename T>
__global__ void __launch_bounds__(kThreads) rope_reference_kernel(RopeCall call) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t token = blockIdx.x;
  const int half = call.head_dim / 2;
  const float position = static_cast<float>(call.positions[token]);
  for (int i = threadIdx.x; i < call.heads * half; i += kThreads) {
    const int64_t at = i / half * call.head_dim + i % half;
    const T* x = static_cast<const T*>(call.q) + token * call.q_stride + at;
    T* y = static_cast<T*>(call.y) + token * call.y_stride + at;
    const float angle = position * call.inverse_frequency[i % half];
    double sine, cosine;
    sincos(static_cast<double>(angle), &sine, &cosine);
    const double first = device::to_float(x[0]);
    const double second = device::to_float(x[half]);
    y[0] = device::round_to<T>(static_cast<float>(first * cosine - second * sine));
    y[half] = device::round_to<T>(static_cast<float>(second * cosine + first * sine));
  }
}

}  // namespace

void launch_rope_reference(const RopeCall& call, const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(call.tokens));
  dispatch_activation(call.activation,
                      [&]<typename T>(T) { launch(where, grid, rope_reference_kernel<T>, call); });
}

}  // namespace octavo::cuda
