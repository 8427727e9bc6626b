// add_rms_norm against add, rms_norm and quantize: equal bytes.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm.h"

#include "backend/cpu/run_kernel.h"
#include "ops/elementwise_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

class AddRmsNormTest : public testing::TestWithParam<std::tuple<DType, bool>> {};

TEST_P(AddRmsNormTest, WritesTheBytesOfItsExpansion) {
  const auto [dtype, quantized] = GetParam();
  std::mt19937 random(1);
  const RmsNormParams params{1e-5f};
  for (const int64_t columns : {1, 31, 512, 1000}) {
    const Shape shape{5, columns};
    const HostTensor x = normal_tensor(dtype, shape, 3, random);
    const HostTensor residual = normal_tensor(dtype, shape, 0, random, 3.0);
    const HostTensor weight = normal_tensor(dtype, {columns}, 0, random);
    const HostTensor scale = quantized ? scale_tensor(kOutputScale) : HostTensor();
    const HostTensor y(quantized ? DType::kE4M3 : dtype, shape, 7);

    const auto fused =
        results(Op::kAddRmsNorm, params, {x, residual, weight, scale}, {{dtype, shape}, y});
    const auto sum = results(Op::kAdd, {}, {x, residual}, {{dtype, shape}})[0];
    auto norm = results(Op::kRmsNorm, params, {sum, weight, {}}, {{dtype, shape}})[0];
    if (quantized) norm = results(Op::kQuantize, {}, {norm, scale}, {y})[0];
    EXPECT_EQ(bytes_of(fused[0]), bytes_of(sum));
    EXPECT_EQ(bytes_of(fused[1]), bytes_of(norm));
  }
}

TEST_P(AddRmsNormTest, SumMayBeTheResidual) {
  const auto [dtype, quantized] = GetParam();
  std::mt19937 random(2);
  const RmsNormParams params{1e-5f};
  const Shape shape{4, 77};
  const HostTensor scale = quantized ? scale_tensor(kOutputScale) : HostTensor();
  const HostTensor y(quantized ? DType::kE4M3 : dtype, shape);
  const HostTensor x = normal_tensor(dtype, shape, 0, random);
  const HostTensor weight = normal_tensor(dtype, {77}, 0, random);
  HostTensor residual = normal_tensor(dtype, shape, 0, random);
  const auto apart =
      results(Op::kAddRmsNorm, params, {x, residual, weight, scale}, {{dtype, shape}, y});

  HostTensor in_place = y;
  const std::vector<TensorView> inputs = {x.view(), residual.view(), weight.view(), scale.view()};
  const std::vector<TensorView> outputs = {residual.view(), in_place.view()};
  const OpParams op_params = params;
  ThreadPool pool(1);
  cpu_kernel(Op::kAddRmsNorm).run({inputs, outputs, &op_params}, {.pool = &pool});
  EXPECT_EQ(bytes_of(residual), bytes_of(apart[0]));
  EXPECT_EQ(bytes_of(in_place), bytes_of(apart[1]));
}

INSTANTIATE_TEST_SUITE_P(Types, AddRmsNormTest,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16),
                                          testing::Bool()));

TEST(AddRmsNormSupportTest, RefusesAnE4M3Sum) {
  OpCase one{.op = Op::kAddRmsNorm, .params = RmsNormParams{}};
  one.inputs = {{DType::kF32, {1, 8}}, {DType::kF32, {1, 8}}, {DType::kF32, {8}}, {}};
  one.outputs = {{DType::kE4M3, {1, 8}}, {DType::kF32, {1, 8}}};
  EXPECT_FALSE(cpu_kernel(Op::kAddRmsNorm).supports(one.problem()).supported);
}

}  // namespace
}  // namespace octavo
