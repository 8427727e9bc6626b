// Add, SwiGLU and quantize: a block takes a piece of one row.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/swiglu.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/pointwise/pointwise.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;  // at most

struct Add {
  static constexpr bool kBinary = true;
  __device__ static float apply(float a, float b) { return a + b; }
};
struct Swiglu {
  static constexpr bool kBinary = true;
  __device__ static float apply(float gate, float up) { return device::swiglu(gate, up); }
};
// Rounded once to float, whatever the device's exponential is like.
struct SwigluReference {
  static constexpr bool kBinary = true;
  __device__ static float apply(float gate, float up) {
    const double value = gate;
    return static_cast<float>(value / (1.0 + exp(-value)) * up);
  }
};
struct Identity {
  static constexpr bool kBinary = false;
  __device__ static float apply(float a, float) { return a; }
};

// A row is `pieces` blocks; a thread takes kVectors vectors of kWidth elements.
template <typename Function, typename T, typename Out, int kWidth, int kVectors>
__global__ void __launch_bounds__(kThreads) pointwise_kernel(PointwiseRows rows, unsigned pieces) {
  if (!rows.late) device::launch_dependents();
  const int64_t row = blockIdx.x / pieces;
  const int64_t first =
      (int64_t{blockIdx.x % pieces} * kVectors * blockDim.x + threadIdx.x) * kWidth;
  const int64_t step = int64_t{blockDim.x} * kWidth;
  const T* from_a = static_cast<const T*>(rows.a) + row * rows.a_stride;
  const T* from_b = static_cast<const T*>(rows.b) + row * rows.b_stride;
  Out* y = static_cast<Out*>(rows.y) + row * rows.y_stride;
  device::Vec<T, kWidth> a[kVectors], b[kVectors];
  device::wait_for_dependencies();
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int64_t at = first + i * step;
    if (at >= rows.columns) break;
    a[i] = device::load_vec<kWidth>(from_a + at);
    if constexpr (Function::kBinary) b[i] = device::load_vec<kWidth>(from_b + at);
  }
  const float scale = rows.output_scale != nullptr ? *rows.output_scale : 1.0f;
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int64_t at = first + i * step;
    if (at >= rows.columns) break;
    float values[kWidth], others[kWidth] = {};
    device::to_floats(values, a[i]);
    if constexpr (Function::kBinary) device::to_floats(others, b[i]);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) values[j] = Function::apply(values[j], others[j]);
    if (rows.late && i == 0) device::launch_dependents();
    // What is only quantized needs no rounding to its own type, which would lose a NaN's sign.
    using Rounded = std::conditional_t<Function::kBinary, T, float>;
    if constexpr (std::is_same_v<Out, device::e4m3_t>) {
      device::store_codes<Rounded, kWidth>(y + at, values, __frcp_rn(scale));
    } else {
      device::store_floats<kWidth>(y + at, values);
    }
  }
}

// Two vectors a thread where there is work for every multiprocessor, else one.
template <typename Function, typename T, typename Out, int kWidth>
void launch_rows(const PointwiseRows& rows, const Launch& where) {
  constexpr int64_t kManyVectors = int64_t{1} << 18;
  const int64_t vectors = rows.columns / kWidth;
  const int each = rows.rows * vectors >= kManyVectors ? 2 : 1;
  const int64_t pieces = blocks_for(vectors, each * kThreads);
  if (pieces == 0) return;
  Grid grid;
  grid.threads = static_cast<int>(blocks_for(blocks_for(vectors, pieces * each), 32) * 32);
  grid.blocks = dim3(static_cast<unsigned>(rows.rows * pieces));
  const auto kernel = each == 2 ? pointwise_kernel<Function, T, Out, kWidth, 2>
                                : pointwise_kernel<Function, T, Out, kWidth, 1>;
  launch(where, grid, kernel, rows, static_cast<unsigned>(pieces));
}

template <typename Function>
void launch_pointwise(const PointwiseRows& rows, const Launch& where) {
  dispatch_activation(rows.activation, [&]<typename T>(T) {
    dispatch_output<T>(rows.output, [&]<typename Out>(Out) {
      dispatch_width(rows.vector, [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        launch_rows<Function, T, Out, kWidth>(rows, where);
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
void launch_swiglu_reference(const PointwiseRows& rows, const Launch& where) {
  launch_pointwise<SwigluReference>(rows, where);
}
void launch_quantize(const PointwiseRows& rows, const Launch& where) {
  launch_pointwise<Identity>(rows, where);
}

}  // namespace octavo::cuda
