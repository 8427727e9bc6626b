// Dummy weights made on the device are the bytes that the host makes.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/dummy/fill.h"

#include "backend/cuda/device_call.h"
#include "model/dummy_weights.h"

namespace octavo::testing {
namespace {

// `offset` elements into an allocation.
void expect_fill(const FillPattern& fill, int64_t first, int64_t count, int64_t offset) {
  const int64_t size = size_of(fill.dtype);
  const DeviceBuffer buffer((offset + count) * size);
  std::byte* to = buffer.data() + offset * size;
  if (fill.random) {
    cuda::launch_random_fill({.to = to,
                              .dtype = fill.dtype,
                              .width = fill.width,
                              .seed = fill.seed,
                              .first = first,
                              .count = count,
                              .columns = fill.columns,
                              .row_stride = fill.row_stride},
                             {});
  } else {
    cuda::launch_constant_fill(
        {.to = to, .dtype = fill.dtype, .value = fill.constant, .count = count}, {});
  }
  Tensor got(fill.dtype, {count}), expected(fill.dtype, {count});
  OCTAVO_CUDA_CHECK(cudaMemcpy(got.data(), to, count * size, cudaMemcpyDeviceToHost));
  EXPECT_TRUE(buffer.guards_intact());
  write_fill(fill, first, {expected.data(), static_cast<size_t>(expected.bytes())});
  expect_same_bytes(got, expected, "fill");
}

TEST(DummyFill, IsTheHostsOnTheDevice) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kE4M3}) {
    FillPattern fill{.dtype = dtype, .seed = 0xFEDCBA9876543210u, .width = 0.0137f, .random = true};
    if (dtype == DType::kE4M3) fill.width = 256.0f;
    for (const int64_t count : {1, 7, 16, 255, 4097}) {
      for (const int64_t offset : {0, 1, 3}) {
        for (const int64_t first : {int64_t{0}, int64_t{13}, int64_t{1} << 33})
          expect_fill(fill, first, count, offset);
        expect_fill({.dtype = dtype, .constant = 8.0f / 448.0f}, 0, count, offset);
      }
    }
    FillPattern part = fill;
    part.columns = 37;
    part.row_stride = 1001;
    expect_fill(part, 13, 4097, 1);
    // Enough for codes of every magnitude, both zeros included.
    expect_fill(fill, 5, 3'000'001, 0);
  }
}

}  // namespace
}  // namespace octavo::testing
