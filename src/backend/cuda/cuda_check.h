// Errors of the CUDA runtime: raised as octavo::Error naming the failing call.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

namespace octavo::cuda {

// Throws Error(kOutOfMemory) where an allocation failed, Error(kDevice) otherwise.
[[noreturn]] void throw_cuda_error(cudaError_t status, const char* call);

inline void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw_cuda_error(status, call);
}

}  // namespace octavo::cuda

#define OCTAVO_CUDA_CHECK(call) ::octavo::cuda::check((call), #call)
