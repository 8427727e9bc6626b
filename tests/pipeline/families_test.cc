// Tiny random checkpoints of every family against the logits of transformers.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/cpu/kernels.h"
#include "builder/build.h"
#include "core/host_device.h"
#include "model/model_dir.h"
#include "pipeline/npy.h"
#include "runtime/runner.h"

namespace octavo {
namespace {

class Families : public testing::TestWithParam<const char*> {
 protected:
  Families() { registry_.add(cpu_kernels()); }

  std::string folder() const {
    return std::string(OCTAVO_SOURCE_DIR "/tests/data/models/") + GetParam();
  }
  nlohmann::json reference() const {
    return nlohmann::json::parse(std::ifstream(folder() + "/reference.json"));
  }
  // In chunks of fewer tokens than the text has.
  double largest_difference() {
    BuildConfig options;
    options.max_batch_size = 2;
    options.max_num_tokens = 16;
    const ModelDir model = open_model_dir(folder());
    auto image = std::make_shared<EngineImage>(build_image(model, options, registry_));
    ThreadPool pool;
    HostDevice device(pool);
    Runner runner(image, registry_, device, RunnerOptions{});
    const std::vector<float> expected = read_npy_f32(folder() + "/logits.npy");
    double worst = 0.0;
    runner.visit_logits(reference()["ids"].get<std::vector<int32_t>>(),
                        [&](int64_t position, std::span<const float> logits) {
                          for (size_t i = 0; i < logits.size(); ++i) {
                            const size_t at = static_cast<size_t>(position) * logits.size() + i;
                            worst = std::max<double>(worst, std::abs(logits[i] - expected[at]));
                          }
                        });
    return worst;
  }

  KernelRegistry registry_;
};

TEST_P(Families, Float32LogitsAreThoseOfTransformers) {
  const double bound = reference()["bound"];
  const double worst = largest_difference();
  EXPECT_LE(worst, bound);
  RecordProperty("worst", std::to_string(worst));
}

// Without the feature the logits would differ by far more than the bound lets pass.
TEST_P(Families, BoundSeesEveryFeature) {
  const nlohmann::json values = reference();
  EXPECT_FALSE(values["effects"].empty());
  for (const auto& [feature, effect] : values["effects"].items())
    EXPECT_GT(effect.get<double>(), 100 * values["bound"].get<double>()) << feature;
}

INSTANTIATE_TEST_SUITE_P(Each, Families,
                         testing::Values("llama", "mistral", "mixtral", "qwen2", "qwen3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace octavo
