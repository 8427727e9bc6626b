// Elements as a function of their index, 16 bytes a thread.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/device/random.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/dummy/fill.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBytes = 16;  // a thread

struct Random {
  uint64_t seed;  // with the index of the first element and the generator's increment
  float width;
  __device__ float operator()(int64_t i) const {
    const uint64_t bits = device::mix_bits(seed + static_cast<uint64_t>(i));
    return width * (static_cast<float>(static_cast<int32_t>(bits >> 32)) * 0x1p-31f);
  }
};

// Some columns of the rows of a larger tensor.
struct RandomColumns {
  Random random;
  int64_t first, columns, row_stride;
  __device__ float operator()(int64_t i) const {
    const int64_t at = first + i;
    return random(at / columns * row_stride + at % columns);
  }
};

struct Constant {
  float value;
  __device__ float operator()(int64_t) const { return value; }
};

template <typename T, typename Element>
__global__ void __launch_bounds__(kThreads) fill_kernel(T* to, int64_t count, Element element) {
  constexpr int kElements = kBytes / sizeof(T);
  using Rounded = std::conditional_t<sizeof(T) == 1, float, T>;  // codes are made of floats
  device::launch_dependents();
  device::wait_for_dependencies();
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kElements;
  float values[kElements];
#pragma unroll
  for (int i = 0; i < kElements; ++i) values[i] = element(first + i);
  if (first + kElements <= count && reinterpret_cast<uintptr_t>(to) % kBytes == 0) {
    device::store_as<Rounded, kElements>(to + first, values, 1.0f);
    return;
  }
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    const float one[1] = {values[i]};
    if (first + i < count) device::store_as<Rounded, 1>(to + first + i, one, 1.0f);
  }
}

template <typename Element>
void launch_fill(void* to, DType dtype, int64_t count, const Element& element,
                 const Launch& where) {
  Grid grid;
  grid.threads = kThreads;
  grid.blocks = dim3(static_cast<unsigned>(blocks_for(count * size_of(dtype), kThreads * kBytes)));
  const auto of_type = [&]<typename T>(T) {
    launch(where, grid, fill_kernel<T, Element>, static_cast<T*>(to), count, element);
  };
  if (dtype == DType::kE4M3) return of_type(device::e4m3_t{});
  dispatch_activation(dtype, of_type);
}

}  // namespace

void launch_random_fill(const RandomFill& fill, const Launch& where) {
  const uint64_t seed = fill.seed + device::kGoldenGamma;
  if (fill.columns > 0) {
    const RandomColumns columns{{seed, fill.width}, fill.first, fill.columns, fill.row_stride};
    return launch_fill(fill.to, fill.dtype, fill.count, columns, where);
  }
  const Random random{seed + static_cast<uint64_t>(fill.first), fill.width};
  launch_fill(fill.to, fill.dtype, fill.count, random, where);
}

void launch_constant_fill(const ConstantFill& fill, const Launch& where) {
  launch_fill(fill.to, fill.dtype, fill.count, Constant{fill.value}, where);
}

}  // namespace octavo::cuda
