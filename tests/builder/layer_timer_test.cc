// A layer of a Program by itself, and how long it takes by its tactics.
// SPDX-License-Identifier: Apache-2.0
#include "builder/layer_timer.h"

#include <gtest/gtest.h>

#include <thread>

#include "builder/draft_support.h"

namespace octavo {
namespace {

TEST(LayerTimer, ALayerReadsWhatWasWrittenBeforeIt) {
  const Program program = plain_draft().program;
  const LayerProgram layer = middle_layer(program);
  ASSERT_NO_THROW(validate(layer.program));
  EXPECT_EQ(program.calls[layer.first].layer, 1);
  EXPECT_EQ(program.calls[layer.first + layer.program.calls.size()].layer, 2);
  for (const Call& call : layer.program.calls) EXPECT_EQ(call.layer, 1);
  int from_before = 0;
  for (const ProgramTensor& tensor : layer.program.tensors)
    from_before += tensor.kind == TensorKind::kInput && tensor.name.starts_with("before.");
  EXPECT_EQ(from_before, 1);  // the residual
}

void sleep_as_told(const Operands&, const LaunchContext& context) {
  if (context.tactic == "long") std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

TEST(LayerTimer, TimesOfTacticsAreApart) {
  const Program program = fp8_draft().program;
  const SymbolValues sizes{.tokens = 3, .sequences = 3, .logit_rows = 3, .table_width = 2};
  std::vector<Kernel> kernels;
  for (const Kernel* kernel : first_candidates(program, cpu_registry(), sizes)) {
    kernels.push_back(*kernel);
    kernels.back().run = sleep_as_told;
  }
  std::vector<const Kernel*> chosen;
  for (const Kernel& kernel : kernels) chosen.push_back(&kernel);
  std::vector<std::vector<std::string>> tactics(2, std::vector<std::string>(chosen.size()));
  tactics[1][middle_layer(program).first] = "long";
  ThreadPool pool(1);
  HostDevice device(pool, /*graphs=*/true);
  const std::vector<double> us = LayerTimer(device).time(program, chosen, sizes, tactics);
  ASSERT_EQ(us.size(), 2u);
  EXPECT_GE(us[1], 2000.0);  // slept
  EXPECT_LT(us[0], us[1]);
}

}  // namespace
}  // namespace octavo
