// grouped_swiglu writes the bytes of swiglu and grouped_quantize.
// SPDX-License-Identifier: Apache-2.0
#include "ops/grouped_swiglu.h"

#include "backend/cpu/run_kernel.h"
#include "ops/moe_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(GroupedSwigluTest, WritesTheBytesOfItsParts) {
  std::mt19937 random(1);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Routing routing({33, 2, dtype}, random);
    const Shape shape{routing.count(), 203};
    const HostTensor gate = normal_tensor(dtype, shape, 3, random, 5.0);
    const HostTensor up = normal_tensor(dtype, shape, 3, random);
    const HostTensor scales = scales_of_experts(kExperts), y(DType::kE4M3, shape);
    const auto fused = results(Op::kGroupedSwiglu, {}, {gate, up, scales, routing.offsets}, {y});
    const auto plain = results(Op::kSwiglu, {}, {gate, up, {}}, {{dtype, shape}});
    const auto codes = results(Op::kGroupedQuantize, {}, {plain[0], scales, routing.offsets}, {y});
    EXPECT_EQ(bytes_of(fused[0]), bytes_of(codes[0]));
  }
}

}  // namespace
}  // namespace octavo
