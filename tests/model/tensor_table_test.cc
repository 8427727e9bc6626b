// Tables joined from parts.
// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_table.h"

#include "model/family_case.h"

namespace octavo {
namespace {

using namespace tensor_table;

constexpr auto kTable = join(kEnds, qkv_biases(nullptr), o_bias(attention_bias));

TEST(TensorTable, PartsKeepTheirOrder) {
  static_assert(kTable.size() == kEnds.size() + 4);
  EXPECT_EQ(kTable.front().name, "model.embed_tokens.weight");
  EXPECT_EQ(kTable[kEnds.size()].name, "self_attn.q_proj.bias");
  EXPECT_EQ(kTable.back().name, "self_attn.o_proj.bias");
  EXPECT_FALSE(kTable.back().present(ModelConfig{}));
}

}  // namespace
}  // namespace octavo
