// CUDA errors become typed errors that name the failing call.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_check.h"

#include <gmock/gmock.h>

#include "core/error.h"

namespace octavo::cuda {
namespace {

TEST(CudaCheck, NamesTheCallAndTheCategory) {
  EXPECT_NO_THROW(check(cudaSuccess, "fine"));
  try {
    check(cudaErrorInvalidValue, "cudaSomething(1)");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kDevice);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("cudaSomething(1)"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("cudaErrorInvalidValue"));
  }
  try {
    check(cudaErrorMemoryAllocation, "cudaMalloc");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kOutOfMemory);
  }
}

}  // namespace
}  // namespace octavo::cuda
