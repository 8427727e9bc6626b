// Sampling of steps on the host: order of rows, last tokens, results in order.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_step_sampler.h"

#include <gtest/gtest.h>

#include "core/host_device.h"

namespace octavo {
namespace {

TEST(HostStepSampler, SamplesTheRowsThatAsk) {
  ThreadPool pool(1);
  HostDevice device(pool);
  HostStepSampler sampler(device, 4, 3);
  const SamplingParams greedy;
  std::vector<float> logits = {0, 5, 1, 9, 2, 1};
  const auto view = [&](int64_t rows) { return TensorView(logits.data(), DType::kF32, {rows, 3}); };
  const StepSequence first{.slot = 2, .sample = true, .sampling = &greedy};
  const StepSequence silent{.slot = 0, .sampling = &greedy};
  const StepSequence second{.slot = 1, .sample = true, .sampling = &greedy};
  sampler.launch({.id = 7, .sequences = {first, silent, second}}, view(2));
  std::swap(logits[0], logits[1]);
  sampler.launch({.id = 8, .sequences = {first}}, view(1));
  EXPECT_EQ(sampler.last_token(1), 0);
  EXPECT_EQ(sampler.last_token(2), 0);
  const StepResult a = sampler.wait(), b = sampler.wait();
  EXPECT_EQ(a.id, 7);
  ASSERT_EQ(a.tokens.size(), 2u);
  EXPECT_EQ(a.tokens[0].token, 1);
  EXPECT_EQ(a.tokens[1].token, 0);
  EXPECT_EQ(b.id, 8);
  EXPECT_EQ(b.tokens[0].token, 0);
}

}  // namespace
}  // namespace octavo
