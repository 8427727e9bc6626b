// Quantize with scales made from the data: a block a row, half a warp a group, or a block a group.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/reduce/block.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/quantize/quantize_dynamic.h"

namespace octavo::cuda {
namespace {

constexpr int kGroupThreads = 256;  // at most
constexpr int kGroupLanes = kDynamicGroup / kDynamicWidth;
constexpr int kAnyThreads = 128;

// As safe_scale and inverse_scale (numerics/scale.h), to the bit: a division is rounded correctly.
struct Scale {
  float value, inverse;

  __device__ __forceinline__ explicit Scale(float amax) {
    constexpr float kLargestCode = 448.0f;
    constexpr float kSmallest = 0x1p-125f;
    value = amax == 0.0f ? 1.0f : fmaxf(amax / kLargestCode, kSmallest);
    inverse = __frcp_rn(value);
  }
};

// NaN stays NaN; infinities become the ends of the range, which are finite.
__device__ __forceinline__ float clamped(const DynamicRows& rows, float value) {
  const float low = value < rows.clamp_low ? rows.clamp_low : value;
  return low > rows.clamp_high ? rows.clamp_high : low;
}

template <int kCount>
__device__ __forceinline__ void clamp_all(const DynamicRows& rows, float (&values)[kCount]) {
#pragma unroll
  for (float& value : values) value = clamped(rows, value);
}

// fmaxf passes over a NaN, as amax does.
template <int kCount>
__device__ __forceinline__ float larger(float amax, const float (&values)[kCount]) {
#pragma unroll
  for (const float value : values) amax = fmaxf(amax, fabsf(value));
  return amax;
}

template <typename T>
__device__ __forceinline__ const T* row_of_x(const DynamicRows& rows, int64_t row) {
  return static_cast<const T*>(rows.x) + row * rows.x_stride;
}
__device__ __forceinline__ device::e4m3_t* row_of_y(const DynamicRows& rows, int64_t row) {
  return static_cast<device::e4m3_t*>(rows.y) + row * rows.y_stride;
}

// One scale a row, which the block has in registers: kHeld vectors a thread.
template <typename T, int kHeld>
__global__ void __launch_bounds__(kMaxRowThreads) row_kernel(DynamicRows rows) {
  device::launch_dependents();
  __shared__ alignas(16) float scratch[16];
  const int64_t row = blockIdx.x;
  const T* x = row_of_x<T>(rows, row);
  const int first = threadIdx.x * kDynamicWidth;
  const int step = blockDim.x * kDynamicWidth;
  device::Vec<T, kDynamicWidth> held[kHeld];
  const auto for_slots = [&](auto function) {
#pragma unroll
    for (int slot = 0; slot < kHeld; ++slot) {
      const int at = first + slot * step;
      if (at < rows.columns) function(slot, at);
    }
  };
  device::wait_for_dependencies();
  for_slots([&](int slot, int at) { held[slot] = device::load_vec<kDynamicWidth>(x + at); });
  float amax = 0.0f;
  for_slots([&](int slot, int) {
    float values[kDynamicWidth];
    device::to_floats(values, held[slot]);
    clamp_all(rows, values);
    amax = larger(amax, values);
  });
  const Scale scale(device::block_max(amax, scratch));
  if (threadIdx.x == 0) rows.scale[row * rows.scale_stride] = scale.value;
  device::e4m3_t* y = row_of_y(rows, row);
  for_slots([&](int slot, int at) {
    float values[kDynamicWidth];
    device::to_floats(values, held[slot]);
    clamp_all(rows, values);
    device::store_codes<float, kDynamicWidth>(y + at, values, scale.inverse);
  });
}

// One scale 128 columns, which half a warp has in registers. A row is `pieces` blocks; a thread
// takes kVectors vectors.
template <typename T, int kVectors>
__global__ void __launch_bounds__(kGroupThreads) group_kernel(DynamicRows rows, unsigned pieces) {
  device::launch_dependents();
  const int64_t row = blockIdx.x / pieces;
  const int first =
      static_cast<int>(blockIdx.x % pieces * kVectors * blockDim.x + threadIdx.x) * kDynamicWidth;
  const int step = blockDim.x * kDynamicWidth;
  const T* x = row_of_x<T>(rows, row);
  device::e4m3_t* y = row_of_y(rows, row);
  device::Vec<T, kDynamicWidth> vectors[kVectors] = {};
  device::wait_for_dependencies();
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    if (first + i * step < rows.columns)
      vectors[i] = device::load_vec<kDynamicWidth>(x + first + i * step);
  }
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int at = first + i * step;
    const bool inside = at < rows.columns;  // what lies outside adds nothing to amax
    float values[kDynamicWidth];
    device::to_floats(values, vectors[i]);
    clamp_all(rows, values);
    float amax = inside ? larger(0.0f, values) : 0.0f;
#pragma unroll
    for (int lanes = kGroupLanes / 2; lanes > 0; lanes /= 2)
      amax = fmaxf(amax, __shfl_xor_sync(0xFFFFFFFFu, amax, lanes));
    const Scale scale(amax);
    if (!inside) continue;
    if (threadIdx.x % kGroupLanes == 0)
      rows.scale[row * rows.scale_stride + at / kDynamicGroup] = scale.value;
    device::store_codes<float, kDynamicWidth>(y + at, values, scale.inverse);
  }
}

// Groups of any size at any place, read twice.
template <typename T>
__global__ void __launch_bounds__(kAnyThreads) any_kernel(DynamicRows rows) {
  device::launch_dependents();
  __shared__ alignas(16) float scratch[16];
  const int64_t row = blockIdx.x;
  const int first = static_cast<int>(blockIdx.y) * rows.group;
  const int end = min(rows.columns, first + rows.group);
  const T* x = row_of_x<T>(rows, row);
  device::wait_for_dependencies();
  float amax = 0.0f;
  for (int at = first + threadIdx.x; at < end; at += kAnyThreads)
    amax = fmaxf(amax, fabsf(clamped(rows, device::to_float(x[at]))));
  const Scale scale(device::block_max(amax, scratch));
  if (threadIdx.x == 0) rows.scale[row * rows.scale_stride + blockIdx.y] = scale.value;
  device::e4m3_t* y = row_of_y(rows, row);
  for (int at = first + threadIdx.x; at < end; at += kAnyThreads)
    y[at] = device::quantize_e4m3(clamped(rows, device::to_float(x[at])), scale.inverse);
}

template <typename T>
void launch_rows(const DynamicRows& rows, const RowLayout& layout, const Launch& where) {
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows));
  grid.threads = layout.threads;
  if (layout.held == 1) return launch(where, grid, row_kernel<T, 1>, rows);
  if (layout.held == 2) return launch(where, grid, row_kernel<T, 2>, rows);
  if (layout.held == 4) return launch(where, grid, row_kernel<T, 4>, rows);
  launch(where, grid, row_kernel<T, kMaxRowHeld>, rows);
}

// Two vectors a thread where there is work for every multiprocessor, else one. Blocks are whole
// warps, so that no group is cut.
template <typename T>
void launch_groups(const DynamicRows& rows, const Launch& where) {
  constexpr int64_t kManyVectors = int64_t{1} << 18;
  const int64_t vectors = rows.columns / kDynamicWidth;
  const int each = rows.rows * vectors >= kManyVectors ? 2 : 1;
  const int64_t pieces = blocks_for(vectors, each * kGroupThreads);
  Grid grid;
  grid.threads = static_cast<int>(blocks_for(blocks_for(vectors, pieces * each), 32) * 32);
  grid.blocks = dim3(static_cast<unsigned>(rows.rows * pieces));
  launch(where, grid, each == 2 ? group_kernel<T, 2> : group_kernel<T, 1>, rows,
         static_cast<unsigned>(pieces));
}

template <typename T>
void launch_any(const DynamicRows& rows, const Launch& where) {
  Grid grid;
  grid.blocks = dim3(static_cast<unsigned>(rows.rows),
                     static_cast<unsigned>(blocks_for(rows.columns, rows.group)));
  grid.threads = kAnyThreads;
  launch(where, grid, any_kernel<T>, rows);
}

}  // namespace

void launch_quantize_dynamic(const DynamicRows& rows, const Launch& where) {
  const RowLayout layout = row_layout(rows.columns);
  const bool vectors = rows.vector == kDynamicWidth;
  dispatch_activation(rows.activation, [&]<typename T>(T) {
    if (vectors && rows.group == kDynamicGroup) return launch_groups<T>(rows, where);
    if (vectors && rows.group == rows.columns && layout.fits)
      return launch_rows<T>(rows, layout, where);
    launch_any<T>(rows, where);
  });
}

}  // namespace octavo::cuda
