// Linear with scales by token, weight row and part of K: every kernel that says it takes a case.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/sm90_fp8_gemm.h"
#include "backend/cuda/scaled_linear_case.h"
#include "core/quant_scheme.h"

namespace octavo::testing {
namespace {

class ScaledLinear : public ::testing::TestWithParam<ScaledShape> {};

DeviceCall call_of(const Linear& linear, const Tensor& y, int64_t pitch) {
  DeviceCall call;
  call.pitch(pitch);
  add_inputs(call, linear);
  call.out(y);
  return call;
}

// Calls function(name) for every kernel that supports the case; the plain one always does.
template <typename Function>
void for_kernels(const Linear& linear, const Tensor& y, const Function& function) {
  const Problem problem = call_of(linear, y, 0).problem(Op::kLinear);
  bool plain = false;
  for (const Kernel& kernel : cuda_kernels()) {
    if (kernel.op != Op::kLinear || !kernel.supports(problem).supported) continue;
    plain |= kernel.traits.fallback;
    function(kernel.name);
  }
  EXPECT_TRUE(plain);
}

// The relative error of one accumulation step, as in linear_test.cc.
double unit_of(std::string_view kernel, int64_t k) {
  const double unit = (static_cast<double>(k) / 8 + 64) * 0x1p-23;
  if (kernel == "cuda_linear_reference") return unit;
  const bool fresh = kernel.find("low_latency") != kernel.npos || kernel.ends_with("_blocks");
  // Sums of 128 codes that start from zero, or fast accumulation throughout.
  return fresh ? unit + 4 * 0x1p-13 : (static_cast<double>(k) / 32 + 2) * 0x1p-13;
}

TEST_P(ScaledLinear, IntegersAreExact) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType type : {DType::kBF16, DType::kF32}) {
    const Linear linear =
        make_scaled_linear(GetParam(), true, type == DType::kBF16 ? DType::kBF16 : DType::kI32);
    const Expected expected = scaled_oracle(linear);
    const Tensor y(type, {linear.m, linear.n});
    for_kernels(linear, y, [&](std::string_view kernel) {
      for (const int64_t pitch : {0, 16, 1}) {
        call_of(linear, y, pitch).run(kernel);
        expect_exact(linear, expected, y, fmt::format("{} {}", kernel, GetParam().name()));
      }
    });
  }
}

TEST_P(ScaledLinear, RandomValuesAreWithinTheBound) {
  OCTAVO_REQUIRE_DEVICE();
  const Linear linear = make_scaled_linear(GetParam(), false, DType::kI32);
  const Expected expected = scaled_oracle(linear);
  const Tensor y(DType::kBF16, {linear.m, linear.n});
  for_kernels(linear, y, [&](std::string_view kernel) {
    call_of(linear, y, 0).run(kernel);
    expect_within(linear, expected, y, unit_of(kernel, linear.k), kernel);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Grid, ScaledLinear,
    ::testing::Values(
        // A scale a token and a weight row.
        ScaledShape{1, 64, 128, 1, 0, 1}, ScaledShape{3, 33, 48, 1, 0, 1},
        ScaledShape{16, 264, 1040, 1, 0, 1}, ScaledShape{33, 136, 272, 1, 0, 1},
        ScaledShape{64, 512, 2064, 1, 0, 1, 3}, ScaledShape{130, 192, 320, 1, 0, 1, 3},
        ScaledShape{513, 520, 272, 1, 0, 1}, ScaledShape{257, 1288, 144, 1, 0, 1, 2},
        // Either alone, and rows that share a scale.
        ScaledShape{40, 96, 256, 1, 0, 0}, ScaledShape{40, 96, 256, 0, 0, 1},
        ScaledShape{140, 304, 256, 0, 0, 1, 3}, ScaledShape{33, 200, 160, 16, 0, 1},
        // Blocks of 128 × 128 and groups of 128, with tails of both.
        ScaledShape{1, 128, 128, 128, 128, 1}, ScaledShape{1, 256, 512, 128, 128, 4},
        ScaledShape{7, 136, 272, 128, 128, 3}, ScaledShape{16, 384, 2048, 128, 128, 16},
        ScaledShape{33, 520, 1040, 128, 128, 9}, ScaledShape{64, 256, 4112, 128, 128, 33},
        ScaledShape{65, 264, 144, 128, 128, 2}, ScaledShape{130, 384, 640, 128, 128, 5, 3},
        ScaledShape{257, 1288, 272, 128, 128, 3}, ScaledShape{257, 640, 384, 256, 128, 3},
        ScaledShape{40, 256, 512, 128, 128, 0}, ScaledShape{200, 256, 512, 128, 128, 1},
        // Blocks that only the plain kernel reads.
        ScaledShape{5, 130, 300, 64, 64, 5}, ScaledShape{5, 35, 300, 1, 128, 3}));

// The first kernel that the CUDA backend offers for a linear of a scheme: what an engine gets where
// nothing is measured.
std::string_view first_kernel(const LinearScheme& scheme, int64_t m, bool bias = false) {
  constexpr int64_t kOut = 6144, kIn = 4096;
  const auto operand = [](Shape shape, DType type) { return Problem::Operand{shape, type, true}; };
  Problem problem;
  problem.op = Op::kLinear;
  problem.params = LinearParams{.segment_rows = {4096, 1024, 1024},
                                .block_rows = scheme.weights.block_rows,
                                .block_columns = scheme.weights.block_columns};
  problem.inputs = {operand({m, kIn}, DType::kE4M3), operand({kOut, kIn}, DType::kE4M3),
                    operand(scale_shape(scheme.inputs, m, kIn), DType::kF32),
                    operand(scale_shape(scheme.weights, kOut, kIn), DType::kF32),
                    bias ? operand({kOut}, DType::kBF16) : Problem::Operand()};
  problem.outputs = {operand({m, kOut}, DType::kBF16)};
  KernelRegistry registry;
  registry.add(cuda_kernels());
  return registry.candidates(problem, DeviceType::kCuda).front()->name;
}

TEST(ScaledLinearKernels, EverySchemeHasOneForFewAndForManyTokens) {
  for (const bool bias : {false, true}) {
    EXPECT_EQ(first_kernel(kFp8PerChannelPerToken, 1, bias), "cuda_linear_low_latency_vectors");
    EXPECT_EQ(first_kernel(kFp8PerChannelPerToken, 2048, bias), "cuda_linear_sm90_vectors");
    EXPECT_EQ(first_kernel(kFp8Block, 64, bias), "cuda_linear_low_latency_blocks");
    EXPECT_EQ(first_kernel(kFp8Block, 65, bias), "cuda_linear_sm90_blocks");
  }
  LinearScheme odd = kFp8Block;  // blocks of 64, which some checkpoints have
  odd.weights.block_rows = odd.weights.block_columns = odd.inputs.block_columns = 64;
  EXPECT_EQ(first_kernel(odd, 1), "cuda_linear_reference");
}

using LaunchScaled = void (*)(const cuda::LargeGemm&, const cuda::LargeGemmConfig&,
                              const cuda::Launch&);

// Operands on the device, and the product in one cut.
class Product {
 public:
  explicit Product(const Linear& linear)
      : linear_(linear),
        x_(linear.x.bytes()),
        weight_(linear.weight.bytes()),
        input_scale_(linear.input_scale.bytes()),
        weight_scale_(linear.weight_scale.bytes()),
        y_(linear.m * linear.n * 2) {
    upload(x_, linear.x);
    upload(weight_, linear.weight);
    upload(input_scale_, linear.input_scale);
    upload(weight_scale_, linear.weight_scale);
  }

  Tensor run(LaunchScaled launch, const cuda::LargeGemmConfig& config) {
    const auto n = static_cast<int>(linear_.n);
    const int64_t input_scales = linear_.input_scale.shape()[1];
    const cuda::LargeGemm gemm = {
        .x = reinterpret_cast<const uint8_t*>(x_.data()),
        .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
        .input_scale = reinterpret_cast<const float*>(input_scale_.data()),
        .weight_scale = reinterpret_cast<const float*>(weight_scale_.data()),
        .bias = nullptr,
        .y = y_.data(),
        .output_scale = nullptr,
        .x_stride = linear_.k,
        .weight_stride = linear_.k,
        .y_stride = linear_.n,
        .m = static_cast<int>(linear_.m),
        .n = n,
        .k = static_cast<int>(linear_.k),
        .segments = 1,
        .segment_end = {n},
        .strides = {.input_row = input_scales,
                    .weight_row = linear_.weight_scale.shape()[1],
                    .input_part = input_scales > 1 ? 1 : 0,
                    .block_rows = static_cast<int>(linear_.params.block_rows),
                    .part = static_cast<int>(linear_.params.block_columns)}};
    Tensor y(DType::kBF16, {linear_.m, linear_.n});
    OCTAVO_CUDA_CHECK(cudaMemset(y_.data(), 0xFF, y.bytes()));
    launch(gemm, config, {});
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), y_.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(y_.guards_intact());
    return y;
  }

 private:
  static void upload(const DeviceBuffer& to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to.data(), from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }

  const Linear& linear_;
  DeviceBuffer x_, weight_, input_scale_, weight_scale_, y_;
};

void expect_every_cut_exact(const ScaledShape& shape, LaunchScaled launch,
                            std::initializer_list<int> widths) {
  const Linear linear = make_scaled_linear(shape, true, DType::kI32);
  const Expected expected = scaled_oracle(linear);
  Product product(linear);
  for (const int columns : widths) {
    for (const bool share_x : {false, true})
      expect_exact(linear, expected, product.run(launch, {columns, share_x}),
                   fmt::format("{} columns, share_x {}", columns, share_x));
  }
}

// More tiles than clusters, so that a CTA's scales change from tile to tile; edges at both sides.
TEST(LargeScaledGemm, EveryCutOfVectorsIsExact) {
  OCTAVO_REQUIRE_DEVICE();
  expect_every_cut_exact({2310, 2200, 80, 1, 0, 1}, cuda::launch_large_gemm_vectors,
                         {128, 160, 192, 256});
}
TEST(LargeScaledGemm, EveryCutOfBlocksIsExact) {
  OCTAVO_REQUIRE_DEVICE();
  expect_every_cut_exact({2310, 2200, 272, 128, 128, 3}, cuda::launch_large_gemm_blocks,
                         {cuda::kLargeGemmBlockRows});
}

TEST(LargeScaledGemm, CutOfBlocksIsOneBlockWide) {
  for (const int m : {1, 128, 2048, 8192}) {
    for (const int n : {64, 4096, 28672})
      EXPECT_EQ(cuda::large_gemm_blocks_config(m, n, 132).columns, cuda::kLargeGemmBlockRows);
  }
}

}  // namespace
}  // namespace octavo::testing
