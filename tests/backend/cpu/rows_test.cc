// Rows of any element type are read exactly and written with one rounding.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rows.h"

#include <gtest/gtest.h>

#include "numerics/scale.h"
#include "ops/op_case.h"

namespace octavo {
namespace {

using testing_ops::HostTensor;
using testing_ops::scale_tensor;

TEST(RowsTest, Float32RowsAreNotCopied) {
  const HostTensor x(DType::kF32, {3, 5}, 2);
  float buffer[5];
  EXPECT_EQ(read_row(x.view(), 2, buffer), x.view().row<float>(2));
  const HostTensor y(DType::kBF16, {3, 5});
  EXPECT_EQ(read_row(y.view(), 2, buffer), buffer);
}

TEST(RowsTest, WriterRoundsToTheIntermediateTypeFirst) {
  // 1.0625 + 2^-9 lies above the tie between the codes of 1.0 and 1.125; BF16 rounds it to the tie.
  const float value = 1.0625f + 0x1p-9f;
  uint8_t code = 0;
  RowWriter(DType::kE4M3, DType::kF32, scale_tensor(1.0).view()).write(&value, &code, 1);
  EXPECT_EQ(code, to_e4m3(1.125f).bits);
  RowWriter(DType::kE4M3, DType::kBF16, scale_tensor(1.0).view()).write(&value, &code, 1);
  EXPECT_EQ(code, to_e4m3(1.0f).bits);
}

TEST(RowsTest, CopyConvertsWhereTypesDiffer) {
  HostTensor from(DType::kF32, {2, 3}, 1);
  for (int64_t i = 0; i < 6; ++i) from.set(i, 1.0 + 0x1p-12 * static_cast<double>(i));
  const HostTensor same(DType::kF32, {1, 3});
  copy_row(from.view(), 1, same.view(), 0);
  EXPECT_EQ(same.get(2), from.get(5));
  const HostTensor narrow(DType::kBF16, {1, 3});
  copy_row(from.view(), 1, narrow.view(), 0);
  EXPECT_EQ(narrow.get(2), 1.0);
}

TEST(RowsTest, OtherTypesAreAProgrammersError) {
  float out;
  EXPECT_THROW(convert_to_float(DType::kI32, &out, &out, 1), Error);
  EXPECT_THROW(RowWriter(DType::kI64, DType::kF32, {}).write(&out, &out, 1), Error);
}

TEST(RowsTest, IndicesAreChecked) {
  EXPECT_EQ(checked_index(4, 5, "[op] ids", 0), 4);
  EXPECT_THROW(checked_index(5, 5, "[op] ids", 0), Error);
  EXPECT_THROW(checked_index(-1, 5, "[op] ids", 0), Error);
}

TEST(RowsTest, GrainIsAtLeastOneRow) {
  EXPECT_EQ(rows_grain(0), 16384);
  EXPECT_EQ(rows_grain(4096), 4);
  EXPECT_EQ(rows_grain(1 << 20), 1);
}

}  // namespace
}  // namespace octavo
