// Route: a warp a token finds its largest logits and weighs them, by the rules of the CPU kernel.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/device/ptx/grid_dependency.cuh"
#include "backend/cuda/dispatch.h"
#include "backend/cuda/moe/moe.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 4;
constexpr unsigned kAll = 0xFFFFFFFFu;

struct Choice {
  int expert;  // -1: none
  float logit;
};

// Larger logits first, lower indices first among equals.
__device__ __forceinline__ bool is_ahead(const Choice& a, const Choice& b) {
  if (a.expert < 0 || b.expert < 0) return b.expert < 0 && a.expert >= 0;
  return a.logit > b.logit || (a.logit == b.logit && a.expert < b.expert);
}

// One token's logits; lane l looks after the experts l, l + 32, … and knows which are taken.
template <typename T>
struct Token {
  const T* logits;
  int experts;
  int lane;
  uint32_t taken = 0;

  __device__ __forceinline__ float logit(int expert) const {
    return device::to_float(logits[expert]);
  }

  // What a scan from the first expert on finds that only moves to a larger logit: a NaN there
  // stays, one elsewhere is never taken before.
  __device__ __forceinline__ Choice next() {
    int first = experts;
    Choice best = {-1, 0.0f};
    for (int e = lane, bit = 0; e < experts; e += 32, ++bit) {
      if (taken >> bit & 1) continue;
      first = min(first, e);
      const Choice one = {e, logit(e)};
      if (one.logit == one.logit && is_ahead(one, best)) best = one;
    }
    first = __reduce_min_sync(kAll, first);
    for (int offset = 16; offset > 0; offset /= 2) {
      const Choice other = {__shfl_xor_sync(kAll, best.expert, offset),
                            __shfl_xor_sync(kAll, best.logit, offset)};
      if (is_ahead(other, best)) best = other;
    }
    const float there = logit(first);
    if (there != there) best = {first, there};
    if (best.expert % 32 == lane) taken |= 1u << (best.expert / 32);
    return best;
  }
};

// Rounded once, whatever the device's exponential is like.
__device__ __forceinline__ float exponential(float difference) {
  return static_cast<float>(exp(static_cast<double>(difference)));
}

// Of all experts, in their order.
template <typename T>
__device__ float sum_of_all(const Token<T>& token, float largest) {
  float sum = 0.0f;
  for (int begin = 0; begin < token.experts; begin += 32) {
    const int own = begin + token.lane;
    const float value = own < token.experts ? exponential(token.logit(own) - largest) : 0.0f;
    for (int i = 0; i < min(32, token.experts - begin); ++i) sum += __shfl_sync(kAll, value, i);
  }
  return sum;
}

template <typename T>
__global__ void __launch_bounds__(kWarps * 32) route_kernel(RouteRows route) {
  device::launch_dependents();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  device::wait_for_dependencies();
  if (row >= route.tokens) return;
  int32_t* experts = route.experts + row * route.experts_stride;
  float* weights = route.weights + row * route.weights_stride;
  if (route.slots != nullptr && route.slots[row] < 0) {
    for (int i = lane; i < route.top_k; i += 32) {
      experts[i] = -1;
      weights[i] = 0.0f;
    }
    return;
  }
  Token<T> token = {static_cast<const T*>(route.logits) + row * route.logits_stride,
                    route.num_experts, lane};
  float largest = 0.0f, chosen = 0.0f;
  for (int i = 0; i < route.top_k; ++i) {
    const Choice choice = token.next();
    if (i == 0) largest = choice.logit;
    const float weight = exponential(choice.logit - largest);
    chosen += weight;
    if (lane != i % 32) continue;
    experts[i] = choice.expert;
    weights[i] = weight;
  }
  const float sum = route.normalize ? chosen : sum_of_all(token, largest);
  for (int i = lane; i < route.top_k; i += 32)  // those that this lane stored
    weights[i] /= sum;
}

}  // namespace

void launch_route(const RouteRows& route, const Launch& where) {
  Grid grid;
  grid.threads = kWarps * 32;
  grid.blocks = dim3(static_cast<unsigned>(blocks_for(route.tokens, kWarps)));
  dispatch_activation(route.logits_type,
                      [&]<typename T>(T) { launch(where, grid, route_kernel<T>, route); });
}

}  // namespace octavo::cuda
