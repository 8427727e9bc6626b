// From run-time element types and widths to template arguments.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>

#include <type_traits>

#include "backend/cuda/device/numerics.cuh"
#include "core/dtype.h"

namespace octavo::cuda {

// Calls function(T{}) for the activation type: __nv_bfloat16, else float (supports() admits no
// third).
template <typename Function>
void dispatch_activation(DType dtype, Function&& function) {
  if (dtype == DType::kBF16) return function(__nv_bfloat16{});
  function(float{});
}

// Calls function(Out{}): E4M3 codes, or the activation type T.
template <typename T, typename Function>
void dispatch_output(DType dtype, Function&& function) {
  if (dtype == DType::kE4M3) return function(device::e4m3_t{});
  function(T{});
}

// Calls function(integral_constant<int, 8 or 1>).
template <typename Function>
void dispatch_width(int width, Function&& function) {
  if (width == 8) return function(std::integral_constant<int, 8>{});
  function(std::integral_constant<int, 1>{});
}

}  // namespace octavo::cuda
