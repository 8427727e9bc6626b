// The blocks of decoder-only models.
// SPDX-License-Identifier: Apache-2.0
#include "model/decoder.h"

#include <gtest/gtest.h>

#include "model/tiny_model.h"

namespace octavo {
namespace {

TEST(Decoder, AttentionOwnsACacheALayer) {
  const Program program =
      kLlama.emit(tiny_config(), {.dtype = DType::kBF16, .tokens_per_block = 16});
  const TensorId k = program.find("cache.1.k");
  ASSERT_NE(k, kNoTensor);
  EXPECT_EQ(to_string(program.tensor(k).shape), "[cache_blocks, 2, 16, 8]");
  EXPECT_EQ(program.tensor(k).dtype, DType::kBF16);
}

TEST(Decoder, LogitsRunOnTheRowsThatNeedThem) {
  const Program program = kLlama.emit(tiny_config(), {});
  EXPECT_EQ(to_string(program.tensor(program.outputs[0]).shape), "[logit_rows, 61]");
  EXPECT_EQ(program.calls.back().layer, 2);
}

}  // namespace
}  // namespace octavo
