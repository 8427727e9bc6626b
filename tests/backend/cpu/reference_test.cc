// The references round where the definition does, whatever the order of their sums.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/cpu/run_kernel.h"
#include "ops/elementwise_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

HostTensor run_reference(std::string_view name, const OpParams& params,
                         std::vector<HostTensor> inputs) {
  const Kernel& kernel = cpu_kernel(name);
  const HostTensor y(inputs[0].dtype(), inputs[0].shape());
  OpCase one{.op = kernel.op, .params = params, .inputs = std::move(inputs), .outputs = {y}};
  run_on_cpu(kernel, one);
  return one.outputs[0];
}

HostTensor permuted(const HostTensor& row, const std::vector<int64_t>& order) {
  HostTensor out(row.dtype(), row.shape());
  for (int64_t i = 0; i < row.elements(); ++i) out.set(i, row.get(order[static_cast<size_t>(i)]));
  return out;
}

TEST(ReferenceTest, ANormDoesNotDependOnTheOrderOfItsColumns) {
  std::mt19937 random(3);
  const RmsNormParams params{1e-5f};
  std::vector<int64_t> order(1000);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const HostTensor x = normal_tensor(dtype, {1, 1000}, 0, random);
    const HostTensor weight = normal_tensor(dtype, {1000}, 0, random);
    const HostTensor y = run_reference("cpu_rms_norm_reference", params, {x, weight, {}});
    const HostTensor other = run_reference("cpu_rms_norm_reference", params,
                                           {permuted(x, order), permuted(weight, order), {}});
    EXPECT_EQ(bytes_of(permuted(y, order)), bytes_of(other));
  }
}

TEST(ReferenceTest, SwigluIsTheFloatNearestToItsValue) {
  std::mt19937 random(4);
  const HostTensor gate = normal_tensor(DType::kF32, {7, 33}, 0, random);
  const HostTensor up = normal_tensor(DType::kF32, {7, 33}, 0, random);
  const HostTensor y = run_reference("cpu_swiglu_reference", {}, {gate, up, {}});
  for (int64_t i = 0; i < y.elements(); ++i) {
    const double value = gate.get(i) / (1.0 + std::exp(-gate.get(i))) * up.get(i);
    EXPECT_EQ(y.get(i), static_cast<float>(value)) << i;
  }
}

TEST(ReferenceTest, RopeIsTheFloatNearestToTheRotationByAFloatAngle) {
  std::mt19937 random(5);
  const HostTensor x = normal_tensor(DType::kF32, {1, 4}, 0, random);
  HostTensor position(DType::kI32, {1});
  position.set(0, 12345);
  HostTensor frequency(DType::kF32, {2});
  frequency.set(0, 1.0);
  frequency.set(1, 0.017f);
  const HostTensor y = run_reference("cpu_rope_reference", RopeParams{4}, {x, position, frequency});
  for (int64_t i = 0; i < 2; ++i) {
    const double angle = 12345.0f * static_cast<float>(frequency.get(i));
    EXPECT_EQ(y.get(i),
              static_cast<float>(x.get(i) * std::cos(angle) - x.get(i + 2) * std::sin(angle)));
    EXPECT_EQ(y.get(i + 2),
              static_cast<float>(x.get(i + 2) * std::cos(angle) + x.get(i) * std::sin(angle)));
  }
}

}  // namespace
}  // namespace octavo
