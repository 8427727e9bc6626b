// Rows go to the slot of every head, and nowhere else.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cache_writer.h"

#include "ops/op_case.h"

namespace octavo {
namespace {

using testing_ops::HostTensor;
using testing_ops::scale_tensor;

TEST(CacheWriterTest, WritesTheSlotOfEveryHead) {
  // [blocks 3, kv_heads 2, tokens_per_block 4, head_dim 2], blocks 5 elements apart beyond that
  HostTensor cache(DType::kF32, {3, 2, 4, 2}, 5);
  const float row[4] = {1, 2, 3, 4};
  CacheWriter(cache.view(), DType::kF32, {}).write(row, 9);  // block 2, offset 1
  const int64_t head_0 = 2 * 16 + 1 * 2;
  EXPECT_EQ(cache.get(head_0), 1);
  EXPECT_EQ(cache.get(head_0 + 1), 2);
  EXPECT_EQ(cache.get(head_0 + 8), 3);
  EXPECT_EQ(cache.get(head_0 + 9), 4);
  int64_t written = 0;
  for (int64_t i = 0; i < cache.elements(); ++i) written += std::isnan(cache.get(i)) ? 0 : 1;
  EXPECT_EQ(written, 4);
}

TEST(CacheWriterTest, QuantizesByTheScale) {
  HostTensor cache(DType::kE4M3, {1, 1, 1, 2});
  const float row[2] = {1.0f, -0.5f};
  CacheWriter(cache.view(), DType::kF32, scale_tensor(0.25).view()).write(row, 0);
  EXPECT_EQ(cache.get(0), 4.0);
  EXPECT_EQ(cache.get(1), -2.0);
}

TEST(CacheWriterTest, RefusesSlotsBeyondTheCache) {
  const HostTensor cache(DType::kF32, {3, 2, 4, 2});
  const float row[4] = {};
  const CacheWriter writer(cache.view(), DType::kF32, {});
  EXPECT_THROW(writer.write(row, 12), Error);
  EXPECT_THROW(writer.write(row, -1), Error);
}

}  // namespace
}  // namespace octavo
