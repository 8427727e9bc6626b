// gather_rows refuses rows outside its source.
// SPDX-License-Identifier: Apache-2.0
#include "ops/gather_rows.h"

#include <gmock/gmock.h>

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

std::string message_of(int row) {
  std::mt19937 random(1);
  HostTensor rows(DType::kI32, {3});
  for (int64_t i = 0; i < 3; ++i) rows.set(i, i == 1 ? row : 0);
  const HostTensor x = normal_tensor(DType::kBF16, {10, 8}, 0, random);
  OpCase one{.op = Op::kGatherRows};
  one.inputs = {x, rows};
  one.outputs = {{DType::kBF16, {3, 8}}};
  try {
    run_on_cpu(one);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInternal);
    return error.what();
  }
  return "";
}

TEST(GatherRowsTest, RefusesRowsOutsideTheTensor) {
  EXPECT_EQ(message_of(10), "[gather_rows] rows[1]: expected an index below 10, got 10");
  EXPECT_EQ(message_of(-7), "[gather_rows] rows[1]: expected an index below 10, got -7");
}

}  // namespace
}  // namespace octavo
