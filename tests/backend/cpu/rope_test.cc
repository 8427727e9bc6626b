// rope writes over its input, and its position zero changes nothing.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope.h"

#include "backend/cpu/run_kernel.h"
#include "ops/elementwise_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(RopeTest, YMayBeX) {
  std::mt19937 random(1);
  ThreadPool pool(2);
  const OpParams params = RopeParams{20};
  const HostTensor frequency = inverse_frequencies(20);
  HostTensor positions(DType::kI32, {6});
  for (int64_t t = 0; t < 6; ++t) positions.set(t, static_cast<double>(t * 77));
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    HostTensor x = normal_tensor(dtype, {6, 60}, 0, random);
    const auto expected = results(Op::kRope, params, {x, positions, frequency}, {{dtype, {6, 60}}});
    const std::vector<TensorView> inputs = {x.view(), positions.view(), frequency.view()};
    const std::vector<TensorView> outputs = {x.view()};
    cpu_kernel(Op::kRope).run({inputs, outputs, &params}, {.pool = &pool});
    EXPECT_EQ(bytes_of(x), bytes_of(expected[0]));
  }
}

TEST(RopeTest, PositionZeroChangesNothing) {
  std::mt19937 random(1);
  const HostTensor x = normal_tensor(DType::kBF16, {1, 64}, 0, random);
  HostTensor positions(DType::kI32, {1});
  positions.set(0, 0);
  const auto y = results(Op::kRope, RopeParams{64}, {x, positions, inverse_frequencies(64)},
                         {{DType::kBF16, {1, 64}}});
  EXPECT_EQ(bytes_of(y[0]), bytes_of(x));
}

}  // namespace
}  // namespace octavo
