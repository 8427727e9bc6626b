// Slices of tensors are the elements of the whole ones.
// SPDX-License-Identifier: Apache-2.0
#include "model/sliced_weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "model/dummy_weights.h"
#include "model/edited_weights.h"
#include "model/tiny_model.h"

namespace octavo {
namespace {

const std::string kName = "w";

class SlicedWeightsTest : public testing::Test {
 protected:
  SlicedWeightsTest() : whole_(std::make_shared<EditedWeights>(tiny_model().weights)) {
    Tensor cube(DType::kI32, {6, 4, 5});
    for (int32_t i = 0; i < 120; ++i) cube.as<int32_t>()[i] = i;
    whole_->replace(kName, cube);
  }
  Tensor read(const WeightSlice& slice) const {
    return read_tensor(SlicedWeights(whole_, {{kName, slice}}), kName);
  }

  std::shared_ptr<EditedWeights> whole_;
};

TEST_F(SlicedWeightsTest, EveryAxisIsCut) {
  for (int axis = 0; axis < 3; ++axis) {
    const WeightSlice slice{.axis = axis, .begin = 1, .count = 2};
    const Tensor part = read(slice);
    int64_t extent[] = {6, 4, 5}, begin[] = {0, 0, 0};
    extent[axis] = 2;
    begin[axis] = 1;
    ASSERT_EQ(part.shape(), Shape({extent[0], extent[1], extent[2]}));
    const int32_t* at = part.as<int32_t>();
    for (int64_t i = 0; i < extent[0]; ++i) {
      for (int64_t j = 0; j < extent[1]; ++j) {
        for (int64_t k = 0; k < extent[2]; ++k)
          EXPECT_EQ(*at++, ((begin[0] + i) * 4 + begin[1] + j) * 5 + begin[2] + k) << axis;
      }
    }
  }
}

TEST_F(SlicedWeightsTest, RowsOfASliceAreReadFromAnyRow) {
  const SlicedWeights weights(whole_, {{kName, {.axis = 2, .begin = 3, .count = 1}}});
  std::vector<int32_t> row(4);
  weights.read(kName, 5, std::as_writable_bytes(std::span(row)));
  EXPECT_EQ(row, (std::vector<int32_t>{103, 108, 113, 118}));
}

TEST_F(SlicedWeightsTest, WhatHasNoSliceIsWholeAndASliceTooLongIsRefused) {
  const SlicedWeights none(whole_, {});
  EXPECT_EQ(none.info(kName)->shape, Shape({6, 4, 5}));
  EXPECT_EQ(none.names(), whole_->names());
  EXPECT_FALSE(none.info("no such tensor"));
  EXPECT_THROW(read({.axis = 0, .begin = 5, .count = 2}), Error);
  EXPECT_THROW(read({.axis = 3, .begin = 0, .count = 1}), Error);
}

TEST_F(SlicedWeightsTest, PatternsMakeTheElementsThatAreRead) {
  const std::string name = "model.embed_tokens.weight";
  const auto dummy = tiny_model().weights;
  ASSERT_EQ(dummy->info(name)->shape.rank(), 2);
  const auto expect_equal = [&](const WeightSlices& slices) {
    const SlicedWeights part(dummy, slices);
    const Tensor expected = read_tensor(part, name);
    Tensor filled(expected.dtype(), expected.shape());
    write_fill(part.fill_of(name).value(), 0, {filled.data(), static_cast<size_t>(filled.bytes())});
    EXPECT_EQ(std::memcmp(filled.data(), expected.data(), static_cast<size_t>(expected.bytes())),
              0);
  };
  expect_equal({});
  expect_equal({{name, {.axis = 0, .begin = 3, .count = 8}}});
  expect_equal({{name, {.axis = 1, .begin = 5, .count = 7}}});
  EXPECT_FALSE(
      SlicedWeights(whole_, {{kName, {.axis = 1, .begin = 0, .count = 2}}}).fill_of(kName));
}

}  // namespace
}  // namespace octavo
