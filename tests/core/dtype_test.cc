// Names and sizes of element types.
// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

TEST(DTypeTest, NamesAndSizes) {
  struct Row {
    DType dtype;
    std::string_view name;
    int64_t size;
    bool floating;
  };
  for (const Row& row :
       {Row{DType::kF32, "float32", 4, true}, Row{DType::kBF16, "bfloat16", 2, true},
        Row{DType::kF16, "float16", 2, true}, Row{DType::kE4M3, "float8_e4m3", 1, true},
        Row{DType::kI32, "int32", 4, false}, Row{DType::kI64, "int64", 8, false},
        Row{DType::kU8, "uint8", 1, false}}) {
    EXPECT_EQ(to_string(row.dtype), row.name);
    EXPECT_EQ(dtype_from_string(row.name), row.dtype);
    EXPECT_EQ(size_of(row.dtype), row.size);
    EXPECT_EQ(is_float(row.dtype), row.floating);
  }
}

TEST(DTypeTest, UnknownNamesAreNone) {
  for (const std::string_view name : {"", "float", "Float32", "float32 ", "e4m3"})
    EXPECT_EQ(dtype_from_string(name), std::nullopt) << name;
}

}  // namespace
}  // namespace octavo
