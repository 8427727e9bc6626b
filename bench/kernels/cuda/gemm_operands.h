// Shapes and operands of the benchmarks of linear: weights that rotate over more than L2 holds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/gemm/low_latency.h"
#include "kernels/cuda/groups.h"

namespace octavo::bench {

constexpr double kPeakBytes = 4.66e12;     // measured: a read-only kernel over 8 GiB
constexpr size_t kColdBytes = 400u << 20;  // touched by a replay: several times the L2
constexpr int kMultiprocessors = 132;

struct GemmShape {
  const char* name;
  int n, k;
  size_t bytes() const { return static_cast<size_t>(n) * k; }
};
constexpr GemmShape kShapes[] = {
    {"70B/4 qkv", 2560, 8192},   {"70B/4 o", 8192, 2048},  {"70B/4 gate_up", 14336, 8192},
    {"70B/4 down", 8192, 7168},  {"8B qkv", 6144, 4096},   {"8B o", 4096, 4096},
    {"8B gate_up", 28672, 4096}, {"8B down", 4096, 14336},
};

inline int calls_for(size_t bytes) {
  return std::max(16, static_cast<int>(kColdBytes / bytes) + 1);
}

inline double share(size_t bytes, double us) {
  return static_cast<double>(bytes) / (us * 1e-6) / kPeakBytes;
}

// Operands over one arena: activations, scales, output, and as many weights as fit.
struct Operands {
  std::byte *x, *scales, *y, *weights;
  size_t weight_bytes;

  const std::byte* weight(int index, size_t bytes) const {
    const size_t slots = std::min<size_t>(weight_bytes / bytes, calls_for(bytes));
    return weights + static_cast<size_t>(index) % slots * bytes;
  }
};

inline Operands make_operands(Arena& arena, size_t x_bytes, size_t y_bytes) {
  Operands operands = {};
  operands.x = arena.take(x_bytes);
  operands.scales = arena.take(1024);
  operands.y = arena.take(y_bytes);
  const float scale = 1.0f / 512;
  for (int i = 0; i < 8; ++i)
    OCTAVO_CUDA_CHECK(cudaMemcpy(operands.scales + 4 * i, &scale, 4, cudaMemcpyHostToDevice));
  operands.weight_bytes = 4ull << 30;
  operands.weights = arena.take(operands.weight_bytes);
  return operands;
}

inline cuda::LowLatencyGemm make_gemm(const Operands& operands, const GemmShape& shape, int m,
                                      int call) {
  return {.x = reinterpret_cast<const uint8_t*>(operands.x),
          .weight = reinterpret_cast<const uint8_t*>(operands.weight(call, shape.bytes())),
          .input_scale = reinterpret_cast<const float*>(operands.scales),
          .weight_scale = reinterpret_cast<const float*>(operands.scales + 4),
          .y = operands.y,
          .x_stride = shape.k,
          .weight_stride = shape.k,
          .y_stride = shape.n,
          .m = m,
          .n = shape.n,
          .k = shape.k,
          .segments = 1,
          .segment_end = {shape.n}};
}

}  // namespace octavo::bench
