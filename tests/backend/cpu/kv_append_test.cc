// kv_append refuses slots outside the cache.
// SPDX-License-Identifier: Apache-2.0
#include "ops/kv_append.h"

#include <gmock/gmock.h>

#include "backend/cpu/run_kernel.h"
#include "ops/cache_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(KvAppendTest, RefusesSlotsOutsideTheCache) {
  for (const int64_t slot : {int64_t{32}, int64_t{1} << 40, INT64_MAX}) {
    std::mt19937 random(1);
    OpCase one{.op = Op::kKvAppend};
    HostTensor slots(DType::kI64, {1});
    const std::byte* bytes = reinterpret_cast<const std::byte*>(&slot);
    std::copy(bytes, bytes + sizeof(slot), slots.storage().begin());
    const HostTensor row = normal_tensor(DType::kF32, {1, 16}, 0, random);
    const HostTensor cache(DType::kF32, {4, 2, 8, 8});
    one.inputs = {row, row, slots, {}, {}};
    one.outputs = {cache, cache};
    try {
      run_on_cpu(one);
      ADD_FAILURE() << "slot " << slot << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kInternal);
      EXPECT_THAT(error.what(), testing::HasSubstr("slots[0]: expected an index below 32"));
    }
    EXPECT_EQ(bytes_of(one.outputs[0]), bytes_of(cache));
  }
}

TEST(KvAppendTest, RefusesOtherCacheTypes) {
  OpCase one{.op = Op::kKvAppend};
  const HostTensor row(DType::kF32, {1, 16});
  one.inputs = {row, row, {DType::kI64, {1}}, {}, {}};
  one.outputs = {{DType::kF16, {4, 2, 8, 8}}, {DType::kF16, {4, 2, 8, 8}}};
  const Verdict verdict = cpu_kernel(Op::kKvAppend).supports(one.problem());
  EXPECT_FALSE(verdict.supported);
  EXPECT_THAT(verdict.reason, testing::HasSubstr("float16"));
}

}  // namespace
}  // namespace octavo
