// RMS norm, the plain version: sums in double, one block a group of a row.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/norm/rms_norm.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 32;

template <typename T, typename Out>
__global__ void __launch_bounds__(kThreads) rms_norm_reference_kernel(NormRows rows) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t row = blockIdx.x;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * rows.width;
  const T* x = static_cast<const T*>(rows.x) + row * rows.x_stride + column;
  const T* weight = static_cast<const T*>(rows.weight);
  Out* y = static_cast<Out*>(rows.y) + row * rows.y_stride + column;
  double squares = 0.0;
  for (int i = threadIdx.x; i < rows.width; i += kThreads) {
    const double value = device::to_float(x[i]);
    squares += value * value;
  }
  const double factor = 1.0 / sqrt(device::warp_sum(squares) / rows.width + rows.epsilon);
  const float inverse =
      rows.output_scale != nullptr ? device::inverse_scale(rows.output_scale) : 1.0f;
  for (int i = threadIdx.x; i < rows.width; i += kThreads) {
    const T normed = device::round_to<T>(static_cast<float>(device::to_float(x[i]) * factor));
    device::store_as<T, 1>(y + i, {device::to_float(normed) * device::to_float(weight[i])},
                           inverse);
  }
}

}  // namespace

void launch_rms_norm_reference(const NormRows& rows, const Launch& where) {
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows), static_cast<unsigned>(rows.groups));
  grid.threads = kThreads;
  dispatch_activation(rows.activation, [&]<typename T>(T) {
    dispatch_output<T>(rows.output, [&]<typename Out>(Out) {
      launch(where, grid, rms_norm_reference_kernel<T, Out>, rows);
    });
  });
}

}  // namespace octavo::cuda
