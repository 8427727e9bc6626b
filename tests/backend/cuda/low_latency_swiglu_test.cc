// The low-latency linear with SwiGLU: the bytes of the two kernels that it replaces.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/linear_case.h"
#include "backend/cuda/pointwise/pointwise.h"

namespace octavo::testing {
namespace {

using cuda::LowLatencyConfig;

constexpr float kOutputScale = 1e-3f;  // leaves the codes of normal values as wide as they came
constexpr float kIntegerScale = 1.0f;
constexpr float kScaleRatio = 16.0f;  // of gate's scale and up's

// x · [gate; up]ᵀ on the device, with or without SwiGLU behind it.
class GateUp {
 public:
  GateUp(int64_t m, int64_t columns, int64_t k, bool integers, DType bias = DType::kI32)
      : linear_(make_linear(DType::kE4M3, m, 2 * columns, k, 2, integers, bias)),
        x_(m * k),
        weight_(2 * columns * k),
        scales_(64),
        bias_(4 * columns),
        both_(4 * m * columns),
        y_(m * columns) {
    linear_.params.segment_rows = {columns, columns};
    linear_.weight_scale.as<float>()[1] = linear_.weight_scale.as<float>()[0] / kScaleRatio;
    upload(x_.data(), linear_.x);
    upload(weight_.data(), linear_.weight);
    upload(scales_.data(), linear_.input_scale);
    upload(scales_.data() + 4, linear_.weight_scale);
    upload(scales_.data() + 12, scalar(integers ? kIntegerScale : kOutputScale));
    if (linear_.bias.defined()) upload(bias_.data(), linear_.bias);
  }

  const Linear& linear() const { return linear_; }
  int m() const { return static_cast<int>(linear_.m); }
  int n() const { return static_cast<int>(linear_.n); }
  int k() const { return static_cast<int>(linear_.k); }

  Tensor unfused(const LowLatencyConfig& config) {
    launch_unfused(config);
    return fetch("unfused");
  }
  // Of the first `tokens`; 0: all. The rest of the result are NaN.
  Tensor fused(const LowLatencyConfig& config, int tokens = 0) {
    OCTAVO_CUDA_CHECK(cudaMemset(y_.data(), 0xFF, linear_.m * linear_.n / 2));
    cuda::LowLatencyGemm product = gemm(y_.data(), linear_.n / 2);
    if (tokens > 0) product.m = tokens;
    cuda::launch_low_latency_swiglu(product, config, {});
    return fetch(to_string(config));
  }
  // Three in a row: from x to y, from there back to x, and once more. Columns are as many as k.
  Tensor chain(const LowLatencyConfig& config, const cuda::Launch& where) {
    upload(x_.data(), linear_.x);
    for (const int lead : {0, 1, 1000}) {
      LowLatencyConfig one = config;
      one.lead = lead;
      one.fill = lead;
      cuda::LowLatencyGemm link = gemm(y_.data(), linear_.n / 2);
      if (lead == 1) {
        link.x = reinterpret_cast<const uint8_t*>(y_.data());
        link.y = x_.data();
      }
      cuda::launch_low_latency_swiglu(link, one, where);
    }
    OCTAVO_CUDA_CHECK(cudaStreamSynchronize(where.stream));
    return fetch("chain");
  }

 private:
  Tensor fetch(const std::string& what) const {
    Tensor y(DType::kE4M3, {linear_.m, linear_.n / 2});
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), y_.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(y_.guards_intact()) << what;
    return y;
  }
  static void upload(std::byte* to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to, from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }
  const float* scale(int index) const {
    return reinterpret_cast<const float*>(scales_.data()) + index;
  }
  cuda::LowLatencyGemm gemm(std::byte* y, int64_t y_stride) const {
    return {.x = reinterpret_cast<const uint8_t*>(x_.data()),
            .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
            .input_scale = scale(0),
            .weight_scale = scale(1),
            .bias = linear_.bias.defined() ? bias_.data() : nullptr,
            .y = y,
            .output_scale = scale(3),
            .x_stride = linear_.k,
            .weight_stride = linear_.k,
            .y_stride = y_stride,
            .m = m(),
            .n = n(),
            .k = k(),
            .segments = 2,
            .segment_end = {n() / 2, n()}};
  }
  void launch_unfused(const LowLatencyConfig& config) const {
    cuda::launch_low_latency(gemm(both_.data(), linear_.n), config, {});
    cuda::launch_swiglu({.a = both_.data(),
                         .b = both_.data() + linear_.n,
                         .output_scale = scale(3),
                         .y = y_.data(),
                         .a_stride = linear_.n,
                         .b_stride = linear_.n,
                         .y_stride = linear_.n / 2,
                         .rows = linear_.m,
                         .columns = linear_.n / 2,
                         .vector = 1,
                         .activation = DType::kBF16,
                         .output = DType::kE4M3},
                        {});
  }

  Linear linear_;
  DeviceBuffer x_, weight_, scales_, bias_, both_, y_;
};

bool fits(int m, const LowLatencyConfig& config) {
  return low_latency_shared_bytes(m, config) <= cuda::kLowLatencySharedBytes;
}

std::vector<LowLatencyConfig> cuts_with_split(int split) {
  std::vector<LowLatencyConfig> cuts;
  for (const int rows : {8, 24, 64, 72, 128}) {
    for (const int steps : {2, 4, 8}) {
      for (const int depth : {2, 5}) {
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .split = split});
        if (split == 1) cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .passes = 3});
      }
    }
  }
  return cuts;
}

// Both sides of each size of the token tile, tails of K, columns that are a multiple of nothing:
// the sums depend on the split of K alone, so that the bytes are those of the linear cut otherwise.
TEST(LowLatencySwiglu, EveryCutGivesTheBytesOfTheUnfusedKernels) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t m : {1, 8, 9, 16, 17, 32, 33, 64}) {
    for (const int64_t k : {208, 4112}) {
      GateUp product(m, 77, k, false, k == 208 ? DType::kBF16 : DType::kI32);
      for (const int split : {1, 2, 4, 8}) {
        const Tensor expected =
            product.unfused({.rows = 64, .steps = 4, .depth = 2, .split = split});
        for (const LowLatencyConfig& config : cuts_with_split(split)) {
          if (!fits(static_cast<int>(m), config)) continue;
          expect_same_bytes(product.fused(config), expected,
                            fmt::format("{} m {} k {}", to_string(config), m, k));
          if (HasFailure()) return;
        }
      }
    }
  }
}

// As a model calls it: every number of tokens, and what a builder would run.
TEST(LowLatencySwiglu, EveryNumberOfTokens) {
  OCTAVO_REQUIRE_DEVICE();
  for (int64_t m = 1; m <= 32; ++m) {
    for (const int64_t k : {16, 128, 400}) {
      GateUp product(m, 176, k, false);
      const LowLatencyConfig config =
          cuda::low_latency_config(product.m(), product.n(), product.k(), 132);
      const Tensor y = product.fused(config);
      expect_same_bytes(y, product.unfused(config), fmt::format("m {} k {}", m, k));
      expect_same_bytes(product.fused(config), y, "rerun");
      if (HasFailure()) return;
    }
  }
}

// Sums of integers are exact, so that only SwiGLU has a bound: __expf is within 2 + 1.2 |gate| ulp,
// the reciprocal, the sum and the products add four roundings. A code lies between those of the
// interval's ends, as rounding keeps the order.
void expect_within_swiglu(const Linear& linear, const Tensor& y, std::string_view what) {
  const Expected expected = oracle(linear);
  const int64_t columns = linear.n / 2;
  const float inverse = inverse_scale(kIntegerScale);
  const auto code = [&](double value) {
    return to_float(quantize(to_float(to_bf16(static_cast<float>(value))), inverse));
  };
  int64_t wrong = 0;
  for (int64_t token = 0; token < linear.m; ++token) {
    for (int64_t column = 0; column < columns; ++column) {
      const auto half = [&](int64_t row) {
        return static_cast<double>(
            to_float(to_bf16(static_cast<float>(expected.y[token * linear.n + row]))));
      };
      const double gate = half(column);
      const double value = gate / (1.0 + std::exp(-gate)) * half(columns + column);
      const double bound = std::abs(value) * (8 + 2 * std::abs(gate)) * 0x1p-23;
      const float got = element(y.view(), token * columns + column);
      wrong += !(got >= code(value - bound) && got <= code(value + bound));
    }
  }
  EXPECT_EQ(wrong, 0) << what;
}

TEST(LowLatencySwiglu, IntegersAreExactUpToSwiglu) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t m : {1, 5, 16, 32}) {
    for (const int64_t k : {48, 1040}) {
      GateUp product(m, 88, k, true, DType::kBF16);
      for (const int split : {1, 4}) {
        const LowLatencyConfig config = {.rows = 24, .steps = 2, .depth = 4, .split = split};
        expect_within_swiglu(product.linear(), product.fused(config), to_string(config));
      }
    }
  }
}

// A token's codes depend on no other token, nor on their number.
TEST(LowLatencySwiglu, TokensAreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  constexpr int64_t kColumns = 160, kDepth = 4112;
  GateUp all(64, kColumns, kDepth, false);
  const Tensor y = all.fused(cuda::low_latency_config(64, 2 * kColumns, kDepth, 132));
  for (const int m : {1, 7, 16, 31, 40}) {
    const Tensor part = all.fused(cuda::low_latency_config(m, 2 * kColumns, kDepth, 132), m);
    EXPECT_EQ(std::memcmp(part.data(), y.data(), m * kColumns), 0) << m;
  }
}

// Joined by programmatic launches: each reads what the one before writes, and writes what that
// reads.
TEST(LowLatencySwiglu, WaitsForTheKernelBefore) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t m : {1, 16}) {
    GateUp product(m, 2048, 2048, false);
    const LowLatencyConfig config = cuda::low_latency_config(product.m(), 4096, 2048, 132);
    const Tensor expected = product.chain(config, {});
    cudaStream_t stream = nullptr;
    OCTAVO_CUDA_CHECK(cudaStreamCreate(&stream));
    for (int i = 0; i < 20; ++i)
      expect_same_bytes(product.chain(config, {stream, true}), expected, fmt::format("m {}", m));
    OCTAVO_CUDA_CHECK(cudaStreamDestroy(stream));
  }
}

// For compute-sanitizer: both kinds of cut, tails of tokens, columns and K.
TEST(LowLatencySwiglu, ASmallCase) {
  OCTAVO_REQUIRE_DEVICE();
  GateUp product(3, 77, 400, false, DType::kBF16);
  for (const int split : {1, 2}) {
    const LowLatencyConfig config = {.rows = 24, .steps = 2, .depth = 2, .split = split};
    expect_same_bytes(product.fused(config), product.unfused(config), to_string(config));
  }
}

}  // namespace
}  // namespace octavo::testing
