// Add, SwiGLU and quantize: one vector of elements a thread.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/pointwise/pointwise.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

struct Add {
  static constexpr bool kBinary = true;
  __device__ static float apply(float a, float b) { return a + b; }
};
struct Swiglu {
  static constexpr bool kBinary = true;
  __device__ static float apply(float gate, float up) { return gate / (1.0f + __expf(-gate)) * up; }
};
struct Identity {
  static constexpr bool kBinary = false;
  __device__ static float apply(float a, float) { return a; }
};

template <typename Function, typename T, typename Out, int kWidth>
__global__ void __launch_bounds__(kThreads) pointwise_kernel(PointwiseRows rows) {
  device::launch_dependents();
  device::wait_for_dependencies();
  const float scale = rows.output_scale != nullptr ? *rows.output_scale : 1.0f;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t row_vectors = rows.columns / kWidth;
  const int64_t row = index / row_vectors;
  if (row >= rows.rows) return;
  const int64_t column = (index - row * row_vectors) * kWidth;
  float a[kWidth];
  float b[kWidth] = {};
  device::load_floats<kWidth>(a, static_cast<const T*>(rows.a) + row * rows.a_stride + column);
  if constexpr (Function::kBinary)
    device::load_floats<kWidth>(b, static_cast<const T*>(rows.b) + row * rows.b_stride + column);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) a[i] = Function::apply(a[i], b[i]);
  // What is only quantized needs no rounding to its own type, which would lose a NaN's sign.
  using Rounded = std::conditional_t<Function::kBinary, T, float>;
  Out* y = static_cast<Out*>(rows.y) + row * rows.y_stride + column;
  if constexpr (std::is_same_v<Out, device::e4m3_t>) {
    device::store_codes<Rounded, kWidth>(y, a, __frcp_rn(scale));
  } else {
    device::store_floats<kWidth>(y, a);
  }
}

template <typename Function>
void launch_pointwise(const PointwiseRows& rows, const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks =
      dim3(static_cast<unsigned>(blocks_for(rows.rows * (rows.columns / rows.vector), kThreads)));
  dispatch_activation(rows.activation, [&]<typename T>(T) {
    dispatch_output<T>(rows.output, [&]<typename Out>(Out) {
      dispatch_width(rows.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        launch(where, grid, pointwise_kernel<Function, T, Out, kWidth>, rows);
      });
    });
  });
}

}  // namespace

void launch_add(const PointwiseRows& rows, const Launch& where) {
  launch_pointwise<Add>(rows, where);
}
void launch_swiglu(const PointwiseRows& rows, const Launch& where) {
  launch_pointwise<Swiglu>(rows, where);
}
void launch_quantize(const PointwiseRows& rows, const Launch& where) {
  launch_pointwise<Identity>(rows, where);
}

}  // namespace octavo::cuda
