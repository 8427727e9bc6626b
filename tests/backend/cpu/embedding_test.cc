// embedding refuses ids outside its table.
// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding.h"

#include <gmock/gmock.h>

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

std::string message_of(int id) {
  std::mt19937 random(1);
  HostTensor ids(DType::kI32, {3});
  for (int64_t i = 0; i < 3; ++i) ids.set(i, i == 1 ? id : 0);
  const HostTensor table = normal_tensor(DType::kBF16, {10, 8}, 0, random);
  OpCase one{.op = Op::kEmbedding};
  one.inputs = {ids, table};
  one.outputs = {{DType::kBF16, {3, 8}}};
  try {
    run_on_cpu(one);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInternal);
    return error.what();
  }
  return "";
}

TEST(EmbeddingTest, RefusesIdsOutsideTheVocabulary) {
  EXPECT_EQ(message_of(10), "[embedding] ids[1]: expected an index below 10, got 10");
  EXPECT_EQ(message_of(-1), "[embedding] ids[1]: expected an index below 10, got -1");
  EXPECT_EQ(message_of(9), "");
}

}  // namespace
}  // namespace octavo
