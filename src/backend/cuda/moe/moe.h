// Routing, permutation and combination of a mixture of experts, and the codes of experts' rows.
// SPDX-License-Identifier: Apache-2.0
//
// Grids depend on shapes alone; which rows are an expert's is read from `offsets` on the device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/launch.h"
#include "core/dtype.h"

namespace octavo::cuda {

inline constexpr int kMostExperts = 1024;  // 32 for each lane of a warp

struct RouteRows {
  const void* logits;    // [tokens, num_experts]
  const int64_t* slots;  // [tokens]; null: no token is padding
  int32_t* experts;      // [tokens, top_k]
  float* weights;        // [tokens, top_k]
  int64_t logits_stride, experts_stride, weights_stride;
  int64_t tokens;
  int num_experts;
  int top_k;
  bool normalize;
  DType logits_type;
};

struct PermutedRows {
  const std::byte* x;      // [tokens] rows of row_bytes
  const int32_t* experts;  // [tokens, top_k]
  int32_t* rows;           // [tokens, top_k]
  int32_t* offsets;        // [num_experts + 1]
  std::byte* y;            // [tokens × top_k] rows
  int64_t experts_stride, rows_stride;
  int64_t x_stride, y_stride, row_bytes;  // bytes
  int64_t tokens;
  int num_experts;
  int top_k;
};

struct CombinedRows {
  const void* x;
  const int32_t* rows;   // [tokens, top_k]
  const float* weights;  // [tokens, top_k]
  void* y;
  int64_t x_stride, rows_stride, weights_stride, y_stride;
  int64_t tokens;
  int64_t columns;
  int top_k;
  int vector;  // elements that may be moved at once: 8 or 1
  DType activation;
};

// Codes of a, or of silu(a) × b where b is given.
struct ExpertCodes {
  const void* a;
  const void* b;
  const float* scales;     // [num_experts]
  const int32_t* offsets;  // [num_experts + 1]
  void* y;                 // E4M3; zero in rows of no expert
  int64_t a_stride, b_stride, y_stride;
  int64_t rows;
  int64_t columns;
  int num_experts;
  int vector;
  DType activation;
};

void launch_route(const RouteRows& route, const Launch& where);
void launch_permute(const PermutedRows& permute, const Launch& where);
void launch_combine(const CombinedRows& combine, const Launch& where);
void launch_expert_codes(const ExpertCodes& codes, const Launch& where);

}  // namespace octavo::cuda
