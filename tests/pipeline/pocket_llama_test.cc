// The embedded model against its independent reference: logits and greedy text in float32.
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

const std::string kModel = OCTAVO_SOURCE_DIR "/models/pocket-llama";

nlohmann::json reference() {
  return nlohmann::json::parse(std::ifstream(kModel + "/reference.json"));
}

class PocketLlama : public testing::Test {
 protected:
  PocketLlama() { registry_.add(cpu_kernels()); }

  std::unique_ptr<Runner> runner(BuildConfig options) {
    options.max_seq_len = 1024;
    options.max_batch_size = 4;
    options.max_num_tokens = 512;
    model_ = open_model_dir(kModel);
    auto image = std::make_shared<EngineImage>(build_image(model_, options, registry_));
    return std::make_unique<Runner>(image, registry_, device_, RunnerOptions{});
  }

  ModelDir model_;
  KernelRegistry registry_;
  ThreadPool pool_;
  HostDevice device_{pool_};
};

TEST_F(PocketLlama, Float32LogitsMatchTheReference) {
  const auto ids = reference()["test64_ids"].get<std::vector<int32_t>>();
  const std::vector<float> expected = read_npy_f32(kModel + "/logits_fp32_test64.npy");
  float worst = 0.0f;
  runner({.dtype = "float32"})
      ->visit_logits(ids, [&](int64_t position, std::span<const float> logits) {
        for (size_t i = 0; i < logits.size(); ++i) {
          worst = std::max(
              worst,
              std::abs(logits[i] - expected[static_cast<size_t>(position) * logits.size() + i]));
        }
      });
  EXPECT_LE(worst, 2e-3f);
  RecordProperty("worst", std::to_string(worst));
}

}  // namespace
}  // namespace octavo
