// Plans behind graphs: padding and replay change no token.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan_runner.h"

#include <gtest/gtest.h>

#include "runtime/engine.h"
#include "runtime/tiny_runner.h"

namespace octavo {
namespace {

constexpr SymbolValues kMaxima = {
    .tokens = 64, .sequences = 50, .logit_rows = 64, .cache_blocks = 64, .table_width = 16};

TEST(PlanRunner, PadsToFewSizes) {
  ThreadPool pool(1);
  HostDevice plain(pool), graphs(pool, /*graphs=*/true);
  const auto image = tiny_image();
  PlanRunner unpadded(image, cpu_registry(), plain, kMaxima);
  PlanRunner padded(image, cpu_registry(), graphs, kMaxima);
  const std::vector<std::pair<int64_t, int64_t>> expected = {
      {1, 1}, {3, 3}, {8, 8}, {9, 16}, {17, 24}, {33, 40}, {49, 50}, {50, 50}};
  for (const auto& [sequences, size] : expected) {
    EXPECT_EQ(unpadded.padded(sequences), sequences);
    EXPECT_EQ(padded.padded(sequences), size) << sequences;
  }
  EXPECT_GT(PlanRunner::memory_bytes(*image, cpu_registry(), DeviceType::kCpu, kMaxima), 0);
}

std::vector<std::vector<int32_t>> generate(Device& device, int64_t requests) {
  BuildConfig limits = tiny_limits();
  limits.max_batch_size = 12;
  Runner runner(tiny_image(fp8_with_kv_cache(), limits), cpu_registry(), device,
                {.num_blocks = 256});
  Engine engine({.scheduler = {.max_batch_size = 12,
                               .max_num_tokens = 32,
                               .max_seq_len = 64,
                               .tokens_per_block = 4,
                               .num_blocks = 256},
                 .vocab_size = 61},
                runner);
  std::vector<std::vector<int32_t>> outputs(static_cast<size_t>(requests));
  for (int64_t i = 0; i < requests; ++i) {
    Request request{.prompt_token_ids = tiny_ids(3 + i % 5, static_cast<int32_t>(i))};
    request.sampling.max_tokens = 4 + i % 7;
    request.sampling.ignore_eos = true;
    request.on_finish = [&outputs, i](RequestOutput output) {
      outputs[static_cast<size_t>(i)] = std::move(output.token_ids);
    };
    engine.submit(std::move(request));
  }
  engine.run_until_idle();
  return outputs;
}

TEST(PlanRunner, GraphsAndPaddingChangeNoToken) {
  ThreadPool pool(2);
  HostDevice plain(pool), graphs(pool, /*graphs=*/true);
  EXPECT_EQ(generate(graphs, 20), generate(plain, 20));
}

}  // namespace
}  // namespace octavo
