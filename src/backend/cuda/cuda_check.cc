// Errors of the CUDA runtime.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_check.h"

#include "core/error.h"

namespace octavo::cuda {

void throw_cuda_error(cudaError_t status, const char* call) {
  const ErrorCategory category =
      status == cudaErrorMemoryAllocation ? ErrorCategory::kOutOfMemory : ErrorCategory::kDevice;
  throw Error(category, fmt::format("[cuda] {}: {} ({})", call, cudaGetErrorName(status),
                                    cudaGetErrorString(status)));
}

}  // namespace octavo::cuda
