// The unfused Program is the oracle of the fused one: every logit is equal, bit for bit.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

#include "api/registry.h"
#include "builder/build.h"
#include "core/host_device.h"
#include "model/model_dir.h"
#include "pipeline/pipeline_case.h"
#include "runtime/runner.h"

namespace octavo {
namespace {

class Fusions : public testing::TestWithParam<bool> {
 protected:
  std::vector<float> logits(std::span<const Fusion> fusions) {
    const ModelDir model = open_model_dir(GetParam() ? quantized_dir() : kModelDir);
    BuildConfig config = small_build();
    config.max_batch_size = 1;
    Blueprint blueprint = make_blueprint(model, config, kernel_registry(), nullptr, fusions);
    calls = blueprint.plans.front().program.calls.size();
    auto image = std::make_shared<EngineImage>();
    image->config = std::move(blueprint.config);
    image->plans = std::move(blueprint.plans);
    for (const Blueprint::Weight& weight : blueprint.weights) {
      image->weights.push_back({weight.name, build_weight(weight, *model.weights)});
    }
    HostDevice device(pool_);
    Runner runner(image, kernel_registry(), device, RunnerOptions{});
    std::vector<float> all;
    runner.visit_logits(reference()["test64_ids"].get<TokenIds>(),
                        [&](int64_t, std::span<const float> row) {
                          all.insert(all.end(), row.begin(), row.end());
                        });
    return all;
  }

  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  size_t calls = 0;  // of the last Program

 private:
  ThreadPool pool_;
};

TEST_P(Fusions, AllAndEachEqualNone) {
  const std::vector<float> oracle = logits({});
  const size_t unfused_calls = calls;
  ASSERT_FALSE(oracle.empty());
  EXPECT_TRUE(same_bits(logits(fusion_table()), oracle)) << "all fusions";
  EXPECT_LT(calls, unfused_calls);
  for (const Fusion& fusion : fusion_table()) {
    EXPECT_TRUE(same_bits(logits({&fusion, 1}), oracle)) << fusion.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, Fusions, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Fp8" : "Bf16"; });

}  // namespace
}  // namespace octavo
