// Linear on the device: exact on integers, within a derived bound on random values.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/linear.h"

#include "backend/cuda/gemm/cublaslt.h"
#include "backend/cuda/gemm/low_latency.h"
#include "backend/cuda/linear_case.h"

namespace octavo::testing {
namespace {

using cuda::kLowLatencyMaxTokens;

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

bool sm90_takes(const Case& c) { return c.n % 8 == 0 && c.k % 16 == 0; }
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
    if (type == DType::kBF16 && sm90_takes(c)) {
      run_linear(linear, y, "cuda_linear_sm90", 16);
      expect_exact(linear, expected, y, "sm90");
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
  if (sm90_takes(c)) {
    run_linear(linear, y, "cuda_linear_sm90");
    expect_within(linear, expected, y, (static_cast<double>(c.k) / 32 + 2) * 0x1p-13, "sm90");
  }
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
                      Case{64, 264, 2064, 5}, Case{65, 64, 128, 1}, Case{4, 40000, 144, 2},
                      Case{513, 520, 1040, 3}, Case{300, 1288, 272, 3}, Case{129, 136, 16, 5}));

// An engine file names an algorithm of the library as text; whatever the text, the product is
// right.
TEST(CublasLt, TacticsAreFoundAgain) {
  OCTAVO_REQUIRE_DEVICE();
  constexpr int64_t kRows = 192, kColumns = 512, kTokens = 300;
  const cuda::LtShape shape = {.m = kTokens,
                               .n = kRows,
                               .k = kColumns,
                               .x_stride = kColumns,
                               .weight_stride = kColumns,
                               .y_stride = kRows,
                               .operand = DType::kE4M3,
                               .y = DType::kBF16,
                               .bias = false,
                               .scales = cuda::LtScales::kScalar};
  std::vector<std::string> tactics = cuda::LtPlan::find(shape)->tactics();
  ASSERT_FALSE(tactics.empty());
  for (const std::string& tactic : tactics)
    EXPECT_EQ(cuda::LtPlan::find(shape, tactic)->tactics(), std::vector{tactic});
  const Linear linear = make_linear(DType::kE4M3, kTokens, kRows, kColumns, 2, true, DType::kI32);
  const Expected expected = oracle(linear);
  for (const char* odd : {"66", "1.2.3.4.5.6.7.8.9", "x", "4294967296.0.0.0.0.0.0.0.0", "."})
    tactics.emplace_back(odd);
  for (const std::string& tactic : tactics) {
    Tensor y(DType::kBF16, {kTokens, kRows});
    DeviceCall call;
    add_inputs(call, linear);
    call.tactic(tactic).out(y).run("cuda_linear_cublaslt");
    expect_exact(linear, expected, y, tactic);
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

}  // namespace
}  // namespace octavo::testing
