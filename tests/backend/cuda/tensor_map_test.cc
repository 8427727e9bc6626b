// Tensor maps: what the driver takes and what it refuses.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/tensor_map.h"

#include "backend/cuda/device_call.h"
#include "core/error.h"

namespace octavo::testing {
namespace {

TEST(TensorMap, EncodesAndRefuses) {
  OCTAVO_REQUIRE_DEVICE();
  const DeviceBuffer memory(64 * 256);
  cuda::TensorMapSpec spec;
  spec.data = memory.data();
  spec.sizes[0] = 256, spec.sizes[1] = 64;
  spec.strides[0] = 256;
  spec.box[0] = 128, spec.box[1] = 8;
  EXPECT_NO_THROW(cuda::make_tensor_map(spec));
  spec.sizes[0] = 48;  // a box may be wider than the tensor
  EXPECT_NO_THROW(cuda::make_tensor_map(spec));
  spec.strides[0] = 250;
  EXPECT_THROW(cuda::make_tensor_map(spec), Error);
  spec.sizes[1] = 1;  // of one row the stride means nothing
  EXPECT_NO_THROW(cuda::make_tensor_map(spec));
}

}  // namespace
}  // namespace octavo::testing
