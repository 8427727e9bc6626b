// grouped_quantize with one scale for all writes the bytes of quantize.
// SPDX-License-Identifier: Apache-2.0
#include "ops/grouped_quantize.h"

#include "backend/cpu/run_kernel.h"
#include "ops/moe_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(GroupedQuantizeTest, EqualScalesWriteTheBytesOfQuantize) {
  std::mt19937 random(1);
  const HostTensor x = normal_tensor(DType::kBF16, {10, 203}, 3, random);
  HostTensor scales(DType::kF32, {2}), offsets(DType::kI32, {3});
  for (int64_t i = 0; i < 2; ++i) scales.set(i, kOutputScale);
  for (const auto& [i, at] : {std::pair{0, 0}, {1, 4}, {2, 10}}) offsets.set(i, at);
  const HostTensor y(DType::kE4M3, {10, 203});
  const auto grouped = results(Op::kGroupedQuantize, {}, {x, scales, offsets}, {y});
  const auto plain = results(Op::kQuantize, {}, {x, scale_tensor(kOutputScale)}, {y});
  EXPECT_EQ(bytes_of(grouped[0]), bytes_of(plain[0]));
}

}  // namespace
}  // namespace octavo
