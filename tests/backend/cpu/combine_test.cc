// Combination refuses rows that do not exist.
// SPDX-License-Identifier: Apache-2.0
#include "ops/combine.h"

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(CombineTest, RowsAreChecked) {
  std::mt19937 random(1);
  const HostTensor x = normal_tensor(DType::kF32, {4, 8}, 0, random);
  const HostTensor weights = normal_tensor(DType::kF32, {2, 2}, 0, random);
  for (const int bad : {-2, 4}) {
    HostTensor rows(DType::kI32, {2, 2});
    for (int64_t i = 0; i < 4; ++i) rows.set(i, i == 2 ? bad : 0);
    EXPECT_THROW(results(Op::kCombine, {}, {x, rows, weights}, {{DType::kF32, {2, 8}}}), Error)
        << bad;
  }
}

}  // namespace
}  // namespace octavo
