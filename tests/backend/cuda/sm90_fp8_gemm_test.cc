// The FP8 linear for many tokens in every cut, alone and with SwiGLU behind it.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/sm90_fp8_gemm.h"

#include "backend/cuda/linear_case.h"
#include "backend/cuda/pointwise/pointwise.h"

namespace octavo::testing {
namespace {

TEST(LargeGemm, CutLeavesFewMultiprocessorsIdle) {
  EXPECT_EQ(cuda::large_gemm_config(2048, 2560, 132).columns, 160);  // 128 pairs on 66 clusters
  EXPECT_EQ(cuda::large_gemm_config(2048, 8192, 132).columns, 256);  // 256 pairs, 3.9 rounds
  EXPECT_FALSE(cuda::large_gemm_config(2048, 8192, 132).share_x);
  EXPECT_TRUE(cuda::large_gemm_config(128, 28672, 132).share_x);
}

// Operands on the device; outputs lie between guards and start as NaN.
struct DeviceLinear {
  DeviceBuffer x, weight, scales, bias;
  cuda::LargeGemm gemm;

  explicit DeviceLinear(const Linear& linear)
      : x(linear.x.bytes()),
        weight(linear.weight.bytes()),
        scales(64),
        bias(std::max<int64_t>(linear.bias.bytes(), 1)) {
    upload(x.data(), linear.x);
    upload(weight.data(), linear.weight);
    upload(scales.data(), linear.input_scale);
    upload(scales.data() + 4, linear.weight_scale);
    if (linear.bias.defined()) upload(bias.data(), linear.bias);
    const auto* scale = reinterpret_cast<const float*>(scales.data());
    gemm = {.x = reinterpret_cast<const uint8_t*>(x.data()),
            .weight = reinterpret_cast<const uint8_t*>(weight.data()),
            .input_scale = scale,
            .weight_scale = scale + 1,
            .bias = linear.bias.defined() ? bias.data() : nullptr,
            .y = nullptr,
            .output_scale = scale + 15,
            .x_stride = linear.k,
            .weight_stride = linear.k,
            .y_stride = linear.n,
            .m = static_cast<int>(linear.m),
            .n = static_cast<int>(linear.n),
            .k = static_cast<int>(linear.k),
            .segments = 0,
            .segment_end = {}};
    int64_t end = 0;
    for (const int64_t rows : linear.params.segment_rows)
      gemm.segment_end[gemm.segments++] = static_cast<int>(end += rows);
    if (gemm.segments == 0) gemm.segment_end[gemm.segments++] = gemm.n;
  }

  static void upload(std::byte* to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to, from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }
};

template <typename Launch>
Tensor run(const DeviceLinear& on, DType type, int64_t columns, const Launch& launch) {
  Tensor y(type, {on.gemm.m, columns});
  DeviceBuffer buffer(y.bytes());
  cuda::LargeGemm gemm = on.gemm;
  gemm.y = buffer.data();
  gemm.y_stride = columns;
  launch(gemm);
  OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), buffer.data(), y.bytes(), cudaMemcpyDeviceToHost));
  EXPECT_TRUE(buffer.guards_intact());
  return y;
}

std::string describe(const cuda::LargeGemmConfig& config) {
  return fmt::format("{} columns{}", config.columns, config.share_x ? ", shared x" : "");
}

// More tiles than clusters, a last band of token tiles that is not full, and edges at both sides.
TEST(LargeGemm, EveryCutIsExact) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int segments : {1, 3}) {
    const Linear linear = make_linear(DType::kE4M3, 2310, 2200, 80, segments, true,
                                      segments == 1 ? DType::kBF16 : DType::kI32);
    const Expected expected = oracle(linear);
    const DeviceLinear on(linear);
    for (const int columns : {128, 160, 192, 256}) {
      for (const bool share_x : {false, true}) {
        const cuda::LargeGemmConfig config = {columns, share_x};
        const Tensor y = run(on, DType::kBF16, linear.n, [&](const cuda::LargeGemm& gemm) {
          cuda::launch_large_gemm(gemm, config, {});
        });
        expect_exact(linear, expected, y, describe(config));
      }
    }
  }
}

// Every cut adds a token's products in the same order: a row does not depend on the rows beside it.
TEST(LargeGemm, CutsGiveTheSameBytes) {
  OCTAVO_REQUIRE_DEVICE();
  const Linear linear = make_linear(DType::kE4M3, 1000, 1304, 1040, 3, false, DType::kI32);
  const DeviceLinear on(linear);
  Tensor first;
  for (const int columns : {256, 192, 160, 128}) {
    for (const bool share_x : {false, true}) {
      const cuda::LargeGemmConfig config = {columns, share_x};
      Tensor y = run(on, DType::kBF16, linear.n, [&](const cuda::LargeGemm& gemm) {
        cuda::launch_large_gemm(gemm, config, {});
      });
      if (!first.defined())
        first = std::move(y);
      else
        expect_same_bytes(y, first, describe(config));
    }
  }
}

// linear, then swiglu.
Tensor unfused(const DeviceLinear& on) {
  const int64_t columns = on.gemm.n / 2;
  return run(on, DType::kE4M3, columns, [&](cuda::LargeGemm gemm) {
    DeviceBuffer gate_up(static_cast<int64_t>(gemm.m) * gemm.n * 2);
    void* const y = std::exchange(gemm.y, gate_up.data());
    gemm.y_stride = gemm.n;
    cuda::launch_large_gemm(gemm, {}, {});
    cuda::launch_swiglu({.a = gate_up.data(),
                         .b = gate_up.data() + columns * 2,
                         .output_scale = gemm.output_scale,
                         .y = y,
                         .a_stride = gemm.n,
                         .b_stride = gemm.n,
                         .y_stride = columns,
                         .rows = gemm.m,
                         .columns = columns,
                         .vector = 8,
                         .activation = DType::kBF16,
                         .output = DType::kE4M3},
                        {});
    OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  });
}

class LargeGemmSwiglu : public ::testing::TestWithParam<std::array<int64_t, 3>> {};

TEST_P(LargeGemmSwiglu, GivesTheBytesOfTheUnfusedCalls) {
  OCTAVO_REQUIRE_DEVICE();
  const auto [m, n, k] = GetParam();
  const Linear linear = make_linear(DType::kE4M3, m, n, k, 2, false, DType::kI32);
  const DeviceLinear on(linear);
  const float output_scale = 0.02f;
  OCTAVO_CUDA_CHECK(cudaMemcpy(on.scales.data() + 60, &output_scale, 4, cudaMemcpyHostToDevice));
  const Tensor expected = unfused(on);
  for (const bool share_x : {false, true}) {
    const cuda::LargeGemmConfig config = {256, share_x};
    const Tensor y = run(on, DType::kE4M3, n / 2, [&](const cuda::LargeGemm& gemm) {
      cuda::launch_large_gemm_swiglu(gemm, config, {});
    });
    expect_same_bytes(y, expected, fmt::format("{} {} {} {}", m, n, k, describe(config)));
  }
}

INSTANTIATE_TEST_SUITE_P(Grid, LargeGemmSwiglu,
                         ::testing::Values(std::array<int64_t, 3>{1, 32, 16},
                                           std::array<int64_t, 3>{130, 256, 528},
                                           std::array<int64_t, 3>{64, 288, 1040},
                                           std::array<int64_t, 3>{257, 544, 384},
                                           std::array<int64_t, 3>{2310, 2592, 272},
                                           std::array<int64_t, 3>{2048, 4096, 1024}));

}  // namespace
}  // namespace octavo::testing
