// swiglu with an output scale against swiglu and quantize.
// SPDX-License-Identifier: Apache-2.0
#include "ops/swiglu.h"

#include "backend/cpu/run_kernel.h"
#include "ops/elementwise_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(SwigluTest, WithAScaleWritesTheBytesOfSwigluAndQuantize) {
  std::mt19937 random(1);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Shape shape{9, 203};
    const HostTensor gate = normal_tensor(dtype, shape, 203, random, 5.0);
    const HostTensor up = normal_tensor(dtype, shape, 203, random);
    const HostTensor scale = scale_tensor(kOutputScale);
    const HostTensor y(DType::kE4M3, shape);
    const auto fused = results(Op::kSwiglu, {}, {gate, up, scale}, {y});
    const auto plain = results(Op::kSwiglu, {}, {gate, up, {}}, {{dtype, shape}});
    const auto expected = results(Op::kQuantize, {}, {plain[0], scale}, {y});
    EXPECT_EQ(bytes_of(fused[0]), bytes_of(expected[0]));
  }
}

}  // namespace
}  // namespace octavo
