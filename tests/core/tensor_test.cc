// Shapes, views and host storage.
// SPDX-License-Identifier: Apache-2.0
#include "core/tensor.h"

#include <gtest/gtest.h>

// Sanitizers end the program on a huge request unless told to fail it as the C library does.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace octavo {
namespace {

TEST(ShapeTest, ElementsAndPrinting) {
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{3, 0, 5}).elements(), 0);
  EXPECT_EQ((Shape{3, 4, 5}).elements(), 60);
  EXPECT_EQ(to_string(Shape{3, 4}), "[3, 4]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(ShapeTest, Compares) {
  EXPECT_EQ((Shape{1, 2}), (Shape{1, 2}));
  EXPECT_NE((Shape{1, 2}), (Shape{2, 1}));
  EXPECT_NE((Shape{1}), (Shape{1, 1}));
  EXPECT_NE(Shape{}, (Shape{1}));
}

TEST(ShapeTest, RefusesNineDimensions) { EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), Error); }

TEST(TensorViewTest, RowsMayBeStrided) {
  float data[12] = {};
  TensorView view(data, DType::kF32, {3, 2});
  EXPECT_TRUE(view.dense());
  EXPECT_EQ(view.bytes(), 24);
  view.row_stride = 4;
  EXPECT_FALSE(view.dense());
  EXPECT_EQ(view.row<float>(2), data + 8);
  EXPECT_EQ(view.columns(), 2);
  view.shape[0] = 1;
  EXPECT_TRUE(view.dense()) << "a single row has no stride";
}

TEST(TensorViewTest, HigherRanksHaveDenseRows) {
  float data[24];
  const TensorView view(data, DType::kF32, {2, 3, 4});
  EXPECT_EQ(view.row_stride, 12);
  EXPECT_EQ(view.columns(), 12);
  EXPECT_EQ(view.rows(), 2);
  const TensorView scalar(data, DType::kF32, {});
  EXPECT_EQ(scalar.rows(), 1);
  EXPECT_EQ(scalar.elements(), 1);
}

TEST(TensorViewTest, AbsenceIsNotEmptiness) {
  EXPECT_FALSE(TensorView{}.defined());
  EXPECT_TRUE(TensorView(nullptr, DType::kF32, {0, 4}).defined());
}

TEST(TensorTest, IsZeroedAndAligned) {
  const Tensor tensor(DType::kBF16, {5, 7});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
  for (int64_t i = 0; i < 35; ++i) EXPECT_EQ(tensor.as<uint16_t>()[i], 0);
  EXPECT_TRUE(tensor.defined());
  EXPECT_FALSE(Tensor().defined());
  EXPECT_TRUE(Tensor(DType::kF32, {0, 8}).defined());
}

TEST(TensorTest, TooMuchMemoryIsATypedError) {
  try {
    const Tensor tensor(DType::kU8, {int64_t{1} << 60});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kOutOfMemory);
    EXPECT_STREQ(error.what(), "cannot allocate 1152921504606846976 bytes of host memory");
  }
}

}  // namespace
}  // namespace octavo
