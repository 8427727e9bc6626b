// Limits of plans, and weights in a device's memory.
// SPDX-License-Identifier: Apache-2.0
#include "program/engine_image.h"

#include <gtest/gtest.h>

#include "core/host_device.h"

namespace octavo {
namespace {

TEST(EngineImage, PlansAreWithinTheEnginesLimits) {
  const SymbolValues engine = {.tokens = 512,
                               .sequences = 100,
                               .logit_rows = max_logit_rows(100, 512),
                               .cache_blocks = 9,
                               .table_width = 7};
  EXPECT_EQ(engine.logit_rows, 512);
  EXPECT_EQ(max_logit_rows(2048, 512), 2048);
  EXPECT_EQ(max_logit_rows(1, 8192), 1024);
  const Plan mixed{.kind = PlanKind::kMixed, .max_tokens = 8192};
  EXPECT_EQ(mixed.maxima(engine).tokens, 512);
  EXPECT_EQ(mixed.maxima(engine).sequences, 100);
  for (const int64_t most : {64, 100, 4096}) {
    const SymbolValues decode = Plan{.kind = PlanKind::kDecode, .max_tokens = most}.maxima(engine);
    EXPECT_EQ(decode.tokens, std::min<int64_t>(most, 100));
    EXPECT_EQ(decode.sequences, decode.tokens);
    EXPECT_EQ(decode.logit_rows, decode.tokens);
    EXPECT_EQ(decode.table_width, 7);
  }
}

TEST(EngineImage, TheHostsWeightsStayWhereTheyAre) {
  ThreadPool pool(1);
  HostDevice device(pool);
  const Tensor tensor(DType::kF32, {3});
  EXPECT_EQ(on_device(tensor, device).data(), tensor.data());
}

}  // namespace
}  // namespace octavo
