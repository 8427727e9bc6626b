// Mistral: windows, sizes and what is refused.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/mistral.h"

#include "model/family_case.h"

namespace octavo {
namespace {

TEST(Mistral, TableIsTheProgram) { expect_table_is_the_program(kMistral, family_config(kMistral)); }

TEST(Mistral, WindowOfEveryLayer) {
  const Program program = kMistral.emit(family_config(kMistral, {{"sliding_window", 7}}), {});
  EXPECT_EQ(window_in_layer(program, 0), 7);
  EXPECT_EQ(window_in_layer(program, 1), 7);
}

TEST(Mistral, NullIsNoWindowAndAbsenceTheDefault) {
  EXPECT_EQ(family_config(kMistral, {{"sliding_window", nullptr}}).sliding_window, 0);
  EXPECT_EQ(family_config(kMistral).sliding_window, 4096);
}

TEST(Mistral, HeadsNeedNotFillTheHiddenState) {
  const ModelConfig config = family_config(kMistral);
  EXPECT_EQ(config.query_size(), 40);
  EXPECT_EQ(config.kv_size(), 20);
}

TEST(Mistral, RefusesByName) {
  expect_refused(kMistral, "attention_bias", true);
  expect_refused(kMistral, "mlp_bias", true);
  expect_refused(kMistral, "num_local_experts", 8);
  expect_refused(kMistral, "hidden_act", "gelu");
  expect_refused(kMistral, "layer_types", {"full_attention", "sliding_attention"});
  expect_refused(kMistral, "sliding_window", 0, ErrorCategory::kBadFile);
  expect_refused(kMistral, "num_key_value_heads", nullptr, ErrorCategory::kBadFile);
}

}  // namespace
}  // namespace octavo
