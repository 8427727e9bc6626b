// The shared halves of a layer take biases from the table.
// SPDX-License-Identifier: Apache-2.0
#include "model/arch/blocks.h"

#include "model/family_case.h"

namespace octavo {
namespace {

TEST(Blocks, LlamaTakesItsBiasesFromTheConfig) {
  const Architecture& llama =
      find_architecture({{"architectures", {"LlamaForCausalLM"}}}, "config.json");
  for (const bool bias : {false, true}) {
    const ModelConfig config = family_config(llama, {{"attention_bias", bias}, {"mlp_bias", bias}});
    expect_table_is_the_program(llama, config);
    const Program program = llama.emit(config, {});
    for (const Call* call : calls_in_layer(program, Op::kLinear, 0))
      EXPECT_EQ(call->inputs[4] != kNoTensor, bias) << call->module;
  }
}

}  // namespace
}  // namespace octavo
