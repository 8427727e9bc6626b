// add writes over either of its inputs.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add.h"

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(AddTest, YMayBeAnInput) {
  std::mt19937 random(1);
  ThreadPool pool(2);
  const OpParams params;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Shape shape{6, 45};
    HostTensor a = normal_tensor(dtype, shape, 0, random);
    HostTensor b = normal_tensor(dtype, shape, 2, random);
    const auto expected = bytes_of(results(Op::kAdd, {}, {a, b}, {{dtype, shape}})[0]);
    for (const bool into_a : {true, false}) {
      HostTensor first = a;
      HostTensor second = b;
      const std::vector<TensorView> inputs = {first.view(), second.view()};
      const std::vector<TensorView> outputs = {inputs[into_a ? 0 : 1]};
      cpu_kernel(Op::kAdd).run({inputs, outputs, &params}, {.pool = &pool});
      EXPECT_EQ(bytes_of(into_a ? first : second), expected);
    }
  }
}

}  // namespace
}  // namespace octavo
