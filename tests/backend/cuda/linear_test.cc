// Linear on the device: exact on integers, within a derived bound on random values.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/linear.h"

#include "backend/cuda/device_call.h"
#include "backend/cuda/gemm/low_latency.h"

namespace octavo::testing {
namespace {

using cuda::kLowLatencyMaxTokens;
using cuda::LowLatencyConfig;

struct Linear {
  Tensor x, weight, input_scale, weight_scale, bias;
  LinearParams params;
  int64_t m, n, k;
};

Linear make_linear(DType operand, int64_t m, int64_t n, int64_t k, int segments, bool integers,
                   DType bias) {
  Values values(static_cast<uint32_t>(m * 31 + n * 7 + k));
  Linear linear;
  linear.m = m, linear.n = n, linear.k = k;
  linear.x = integers ? values.integers(operand, {m, k}, 2) : values.normal(operand, {m, k}, 20.0f);
  linear.weight =
      integers ? values.integers(operand, {n, k}, 2) : values.normal(operand, {n, k}, 30.0f);
  if (operand == DType::kE4M3) {
    linear.input_scale = scalar(integers ? 0.5f : 0.013f);
    linear.weight_scale = Tensor(DType::kF32, {segments});
    for (int i = 0; i < segments; ++i)
      linear.weight_scale.as<float>()[i] =
          integers ? std::ldexp(1.0f, 1 - 2 * i) : 0.002f * (i + 1);
  }
  if (segments > 1) {
    const int64_t part = n / segments / 16 * 16;
    for (int i = 0; i + 1 < segments; ++i) linear.params.segment_rows.push_back(part);
    linear.params.segment_rows.push_back(n - part * (segments - 1));
  }
  if (bias != DType::kI32)
    linear.bias = integers ? values.integers(bias, {n}, 3) : values.normal(bias, {n});
  return linear;
}

double scale_of(const Linear& linear, int64_t row) {
  if (!linear.input_scale.defined()) return 1.0;
  size_t segment = 0;
  int64_t end = linear.params.segment_rows.empty() ? linear.n : linear.params.segment_rows[0];
  while (row >= end) end += linear.params.segment_rows[++segment];
  return static_cast<double>(linear.input_scale.as<float>()[0]) *
         linear.weight_scale.as<float>()[segment];
}

// Exact sums, and the sums of magnitudes that bounds are made of.
struct Expected {
  std::vector<double> y, magnitude;
};
Expected oracle(const Linear& linear) {
  Expected expected;
  std::vector<float> x(linear.m * linear.k), weight(linear.n * linear.k);
  for (size_t i = 0; i < x.size(); ++i) x[i] = element(linear.x.view(), i);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = element(linear.weight.view(), i);
  for (int64_t token = 0; token < linear.m; ++token) {
    for (int64_t row = 0; row < linear.n; ++row) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < linear.k; ++k) {
        const double product =
            static_cast<double>(x[token * linear.k + k]) * weight[row * linear.k + k];
        sum += product;
        magnitude += std::abs(product);
      }
      const double scale = scale_of(linear, row);
      const double bias = linear.bias.defined() ? element(linear.bias.view(), row) : 0.0;
      expected.y.push_back(sum * scale + bias);
      expected.magnitude.push_back(magnitude * scale + std::abs(bias));
    }
  }
  return expected;
}

void add_inputs(DeviceCall& call, const Linear& linear) {
  call.params(linear.params).in(linear.x).in(linear.weight);
  if (linear.input_scale.defined()) {
    call.in(linear.input_scale).in(linear.weight_scale);
  } else {
    call.none().none();
  }
  if (linear.bias.defined()) {
    call.in(linear.bias);
  } else {
    call.none();
  }
}

void expect_exact(const Linear& linear, const Expected& expected, const Tensor& y,
                  std::string_view what) {
  std::vector<double> rounded(expected.y);
  if (y.dtype() == DType::kBF16) {
    for (double& value : rounded) value = to_float(to_bf16(static_cast<float>(value)));
  }
  expect_close(y, rounded, 0.0, 0.0,
               fmt::format("{} m {} n {} k {}", what, linear.m, linear.n, linear.k));
}

// `unit` is the relative error of one accumulation step of the kernel.
void expect_within(const Linear& linear, const Expected& expected, const Tensor& y, double unit,
                   std::string_view what) {
  double worst = 0;
  for (size_t i = 0; i < expected.y.size(); ++i) {
    const double error = std::abs(element(y.view(), i) - expected.y[i]);
    const double bound =
        epsilon_of(y.dtype()) * std::abs(expected.y[i]) + unit * expected.magnitude[i] + 1e-30;
    worst = std::max(worst, std::isnan(error) ? 1e30 : error / bound);
  }
  EXPECT_LE(worst, 1.0) << what << " m " << linear.m << " n " << linear.n << " k " << linear.k;
}

struct Case {
  int64_t m, n, k;
  int segments;
};

class Fp8Linear : public ::testing::TestWithParam<Case> {};

void run_linear(const Linear& linear, Tensor& y, std::string_view kernel, int64_t pitch = 0) {
  DeviceCall call;
  call.pitch(pitch);
  add_inputs(call, linear);
  call.out(y).run(kernel);
}

bool cublaslt_takes(const Case& c) { return c.n % 16 == 0 && c.k % 16 == 0; }

TEST_P(Fp8Linear, IntegersAreExact) {
  OCTAVO_REQUIRE_DEVICE();
  const Case& c = GetParam();
  for (const DType type : {DType::kBF16, DType::kF32}) {
    const Linear linear = make_linear(DType::kE4M3, c.m, c.n, c.k, c.segments, true,
                                      type == DType::kBF16 ? DType::kBF16 : DType::kI32);
    const Expected expected = oracle(linear);
    Tensor y(type, {c.m, c.n});
    run_linear(linear, y, "cuda_linear_reference");
    expect_exact(linear, expected, y, "reference");
    if (c.m <= kLowLatencyMaxTokens && c.k % 16 == 0) {
      run_linear(linear, y, "cuda_linear_low_latency", 16);
      expect_exact(linear, expected, y, "low latency");
    }
    if (cublaslt_takes(c)) {
      run_linear(linear, y, "cuda_linear_cublaslt", 16);
      expect_exact(linear, expected, y, "cublaslt");
    }
  }
}

TEST_P(Fp8Linear, RandomValuesAreWithinTheBound) {
  OCTAVO_REQUIRE_DEVICE();
  const Case& c = GetParam();
  const Linear linear = make_linear(DType::kE4M3, c.m, c.n, c.k, c.segments, false, DType::kI32);
  const Expected expected = oracle(linear);
  Tensor y(DType::kBF16, {c.m, c.n});
  // fp32 sums of exact products: a step of the tensor core may truncate, at most 2^-23 each, and at
  // most k / 8 + 64 partial sums lie on one path.
  const double unit = (static_cast<double>(c.k) / 8 + 64) * 0x1p-23;
  run_linear(linear, y, "cuda_linear_reference");
  expect_within(linear, expected, y, unit, "reference");
  if (c.m <= kLowLatencyMaxTokens && c.k % 16 == 0) {
    run_linear(linear, y, "cuda_linear_low_latency");
    // Four additions of 13 bits of mantissa, then fp32.
    expect_within(linear, expected, y, unit + 4 * 0x1p-13, "low latency");
  }
  // Fast accumulation throughout: 2^-13 a step of 32.
  if (cublaslt_takes(c)) {
    run_linear(linear, y, "cuda_linear_cublaslt");
    expect_within(linear, expected, y, (static_cast<double>(c.k) / 32 + 2) * 0x1p-13, "cublaslt");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Grid, Fp8Linear,
    ::testing::Values(Case{1, 1, 16, 1}, Case{1, 33, 48, 1}, Case{2, 64, 64, 2},
                      Case{3, 96, 1040, 3}, Case{8, 17, 2048, 1}, Case{9, 256, 512, 2},
                      Case{16, 128, 4096, 1}, Case{17, 80, 144, 1}, Case{31, 160, 272, 3},
                      Case{32, 64, 1008, 1}, Case{33, 64, 256, 1}, Case{130, 192, 320, 3},
                      Case{1, 6144, 1024, 3}, Case{5, 31, 33, 1}, Case{48, 300, 1040, 2},
                      Case{64, 264, 2064, 5}, Case{65, 64, 128, 1}, Case{4, 40000, 144, 2}));

// Device operands of one product, and its result.
class LowLatencyProduct {
 public:
  explicit LowLatencyProduct(const Linear& linear)
      : linear_(linear),
        x_(linear.m * linear.k),
        weight_(linear.n * linear.k),
        scales_(8),
        bias_(linear.n * 2),
        y_(linear.m * linear.n * 2) {
    upload(x_, linear.x);
    upload(weight_, linear.weight);
    upload(bias_, linear.bias);
    cudaMemcpy(scales_.data(), linear.input_scale.data(), 4, cudaMemcpyHostToDevice);
    cudaMemcpy(scales_.data() + 4, linear.weight_scale.data(), 4, cudaMemcpyHostToDevice);
  }

  Tensor run(const LowLatencyConfig& config) {
    const cuda::LowLatencyGemm gemm = {
        .x = reinterpret_cast<const uint8_t*>(x_.data()),
        .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
        .input_scale = reinterpret_cast<const float*>(scales_.data()),
        .weight_scale = reinterpret_cast<const float*>(scales_.data() + 4),
        .bias = bias_.data(),
        .y = y_.data(),
        .x_stride = linear_.k,
        .weight_stride = linear_.k,
        .y_stride = linear_.n,
        .m = static_cast<int>(linear_.m),
        .n = static_cast<int>(linear_.n),
        .k = static_cast<int>(linear_.k),
        .segments = 1,
        .segment_end = {static_cast<int>(linear_.n)}};
    Tensor y(DType::kBF16, {linear_.m, linear_.n});
    OCTAVO_CUDA_CHECK(cudaMemset(y_.data(), 0xFF, y.bytes()));
    cuda::launch_low_latency(gemm, config, {});
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), y_.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(y_.guards_intact()) << to_string(config);
    return y;
  }

 private:
  static void upload(const DeviceBuffer& to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to.data(), from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }

  const Linear& linear_;
  DeviceBuffer x_, weight_, scales_, bias_, y_;
};

std::vector<LowLatencyConfig> every_cut() {
  std::vector<LowLatencyConfig> cuts;
  for (const int rows : {8, 24, 64, 72, 128}) {
    for (const int steps : {1, 2, 4}) {
      for (const int depth : {2, 5}) {
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .prefetch = 3});
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .passes = 3});
        for (const int split : {2, 4, 8})
          cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .split = split});
      }
    }
  }
  return cuts;
}

// Every way to cut, and both sides of each size of the token tile.
TEST(LowLatency, EveryCutIsExact) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t m : {1, 8, 9, 16, 17, 32, 33, 64}) {
    for (const int64_t k : {208, 4112}) {
      const Linear linear = make_linear(DType::kE4M3, m, 144 + 5, k, 1, true, DType::kBF16);
      const Expected expected = oracle(linear);
      LowLatencyProduct product(linear);
      for (const LowLatencyConfig& config : every_cut()) {
        if (low_latency_shared_bytes(static_cast<int>(m), config) > 227 * 1024) continue;
        expect_exact(linear, expected, product.run(config), to_string(config));
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

// A token's result depends on no other token, nor on their number.
TEST(LowLatency, TokensAreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  const int64_t n = 320, k = 4112;
  Linear all = make_linear(DType::kE4M3, 64, n, k, 1, false, DType::kBF16);
  LowLatencyProduct all_product(all);
  const Tensor y = all_product.run(cuda::low_latency_config(64, n, k, 132));
  for (const int64_t m : {1, 7, 16, 31, 40}) {
    Linear some = make_linear(DType::kE4M3, 64, n, k, 1, false, DType::kBF16);
    some.m = m;
    some.x = Tensor(DType::kE4M3, {m, k});
    std::memcpy(some.x.data(), all.x.data(), m * k);
    LowLatencyProduct product(some);
    const Tensor part = product.run(cuda::low_latency_config(static_cast<int>(m), n, k, 132));
    EXPECT_EQ(std::memcmp(part.data(), y.data(), part.bytes()), 0) << m;
  }
}

TEST(FloatLinear, Bf16AndF32) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType type : {DType::kBF16, DType::kF32}) {
    for (const auto& [m, n, k] : {std::tuple{1, 64, 128}, std::tuple{33, 96, 72}}) {
      const Linear linear = make_linear(type, m, n, k, 1, true, type);
      const Expected expected = oracle(linear);
      Tensor y(type, {m, n});
      for (const char* kernel : {"cuda_linear_reference", "cuda_linear_cublaslt"}) {
        run_linear(linear, y, kernel);
        expect_exact(linear, expected, y, kernel);
      }
    }
  }
}

TEST(LowLatencyConfig, EveryCandidateCanRun) {
  for (const int m : {1, 2, 8, 16, 17, 32, 64}) {
    for (const int k : {16, 128, 2048, 4096, 8192, 14336, 1 << 20}) {
      for (const int n : {1, 1024, 2560, 6144, 28672, 128256}) {
        for (const LowLatencyConfig& config : cuda::low_latency_candidates(m, n, k, 132)) {
          EXPECT_LE(low_latency_shared_bytes(m, config), 227 * 1024) << to_string(config);
          EXPECT_EQ(config.rows % 8, 0) << to_string(config);
          EXPECT_LE(config.rows, cuda::kLowLatencyMaxRows) << to_string(config);
          EXPECT_GE(config.depth, 1) << to_string(config);
          EXPECT_LE(config.depth, cuda::kLowLatencyMaxDepth) << to_string(config);
          EXPECT_TRUE(config.split == 1 || config.passes == 1) << to_string(config);
        }
      }
    }
  }
}

}  // namespace
}  // namespace octavo::testing
