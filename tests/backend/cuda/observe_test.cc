// Statistics accumulated on the device are those of the host, counter by counter.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/observe/observe.h"

#include <limits>

#include "backend/cuda/device_call.h"
#include "quant/statistics.h"

namespace octavo::testing {
namespace {

// Values of every exponent, zeros, subnormals, and a few that are not finite.
Tensor all_kinds(Values& values, DType dtype, Shape shape) {
  Tensor tensor = values.normal(dtype, shape);
  for (int64_t i = 0; i < shape.elements(); i += 3) {
    const auto bits = static_cast<uint32_t>(values.engine()());
    const bool finite = (bits & 0x7F800000u) != 0x7F800000u;
    if (finite) set_element(tensor.view(), i, std::bit_cast<float>(bits));
  }
  return tensor;
}

void expect_totals(const ObservedTotals& totals, const TensorStatistics& expected,
                   uint64_t nonfinite) {
  EXPECT_EQ(std::bit_cast<float>(totals.amax_bits), expected.amax);
  EXPECT_EQ(totals.exponents[255], nonfinite);
  for (size_t i = 0; i < 255; ++i)
    EXPECT_EQ(totals.exponents[i], expected.exponents[i]) << "bin " << i;
}

TEST(Observe, CountsWhatTheHostCounts) {
  OCTAVO_REQUIRE_DEVICE();
  Values values(4);
  const DeviceBuffer buffer(sizeof(ObservedTotals));
  auto* totals = reinterpret_cast<ObservedTotals*>(buffer.data());
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    OCTAVO_CUDA_CHECK(cudaMemset(totals, 0, sizeof(*totals)));
    TensorStatistics expected;
    uint64_t nonfinite = 0;
    for (const int64_t columns : {1, 31, 128, 4096, 4104}) {
      for (const int64_t rows : {0, 1, 3, 300}) {
        const Tensor x = all_kinds(values, dtype, {rows, columns});
        if (rows == 3) {
          set_element(x.view(), columns, std::numeric_limits<float>::quiet_NaN());
          set_element(x.view(), 0, -std::numeric_limits<float>::infinity());
        }
        const int64_t stride = columns + (columns == 128 ? 5 : 0);
        const DeviceBuffer on_device(std::max<int64_t>(rows, 1) * stride * size_of(dtype));
        if (rows > 0) {
          const size_t row = static_cast<size_t>(columns * size_of(dtype));
          OCTAVO_CUDA_CHECK(
              cudaMemcpy2D(on_device.data(), static_cast<size_t>(stride * size_of(dtype)), x.data(),
                           row, row, static_cast<size_t>(rows), cudaMemcpyHostToDevice));
        }
        cuda::launch_observe({.data = on_device.data(),
                              .dtype = dtype,
                              .rows = rows,
                              .columns = columns,
                              .row_stride = stride,
                              .totals = totals},
                             {});
        OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
        const ObservedTensor observed = observe(x.view());
        expected.merge(observed.statistics);
        nonfinite += observed.nonfinite;
      }
    }
    ObservedTotals got;
    OCTAVO_CUDA_CHECK(cudaMemcpy(&got, totals, sizeof(got), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(buffer.guards_intact());
    EXPECT_GT(nonfinite, 0u);
    expect_totals(got, expected, nonfinite);
  }
}

}  // namespace
}  // namespace octavo::testing
