// Runners of the tiny model, and its logits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "builder/build.h"
#include "core/host_device.h"
#include "model/tiny_model.h"
#include "runtime/runner.h"

namespace octavo {

inline BuildConfig tiny_limits() {
  return {.max_batch_size = 4, .max_num_tokens = 32, .max_seq_len = 64, .tokens_per_block = 4};
}

inline std::shared_ptr<EngineImage> tiny_image(const CheckpointQuantization& quantization = {},
                                               const BuildConfig& limits = tiny_limits()) {
  return std::make_shared<EngineImage>(
      build_image(tiny_model(quantization), limits, cpu_registry()));
}

using Rows = std::vector<std::vector<float>>;

inline Rows logits_of(Runner& runner, const std::vector<int32_t>& ids) {
  Rows rows;
  runner.visit_logits(ids, [&](int64_t position, std::span<const float> logits) {
    EXPECT_EQ(position, std::ssize(rows));
    rows.emplace_back(logits.begin(), logits.end());
  });
  return rows;
}

inline std::vector<int32_t> tiny_ids(int64_t count, int32_t seed = 1) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back((seed + 17 * static_cast<int32_t>(i)) % 61);
  return ids;
}

}  // namespace octavo
