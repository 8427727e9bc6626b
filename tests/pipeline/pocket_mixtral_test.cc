// The mixture of experts that stands beside the repository, against its independent reference.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "backend/cpu/kernels.h"
#include "builder/build.h"
#include "core/host_device.h"
#include "pipeline/npy.h"
#include "pipeline/pipeline_case.h"
#include "runtime/runner.h"

namespace octavo {
namespace {

const std::filesystem::path kMixtral = OCTAVO_SOURCE_DIR "/../shared/models/pocket-mixtral";

nlohmann::json mixtral_reference() {
  return nlohmann::json::parse(std::ifstream(kMixtral / "reference.json"));
}

class PocketMixtral : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kMixtral)) GTEST_SKIP() << kMixtral << " is not there";
  }
};

TEST_F(PocketMixtral, Float32LogitsMatchTheReference) {
  KernelRegistry registry;
  registry.add(cpu_kernels());
  BuildConfig options{.dtype = "float32"};
  options.max_seq_len = 1024;
  options.max_batch_size = 4;
  options.max_num_tokens = 48;
  const ModelDir model = open_model_dir(kMixtral);
  auto image = std::make_shared<EngineImage>(build_image(model, options, registry));
  ThreadPool pool;
  HostDevice device(pool);
  Runner runner(image, registry, device, RunnerOptions{});
  const auto ids = mixtral_reference()["test64_ids"].get<std::vector<int32_t>>();
  const std::vector<float> expected = read_npy_f32(kMixtral / "logits_fp32_test64.npy");
  float worst = 0.0f;
  runner.visit_logits(ids, [&](int64_t position, std::span<const float> logits) {
    for (size_t i = 0; i < logits.size(); ++i) {
      const size_t at = static_cast<size_t>(position) * logits.size() + i;
      worst = std::max(worst, std::abs(logits[i] - expected[at]));
    }
  });
  EXPECT_LE(worst, 2e-3f);
  RecordProperty("worst", std::to_string(worst));
}

TEST_F(PocketMixtral, GreedyTextMatchesTokenForToken) {
  ModelOptions model = model_options(kMixtral);
  model.build_config.dtype = "float32";
  SilentProgress silent;
  LLM llm(model, {}, silent);
  for (const nlohmann::json& entry : mixtral_reference()["greedy_fp32"]) {
    const auto expected = entry["ids"].get<TokenIds>();
    const std::string prompt = entry["prompt"];
    const SamplingParams sampling{.max_tokens = static_cast<int64_t>(expected.size())};
    const Completion got = llm.generate(std::vector<std::string>{prompt}, sampling).front();
    TokenIds all = got.prompt_token_ids;
    all.insert(all.end(), got.token_ids.begin(), got.token_ids.end());
    ASSERT_GE(all.size(), expected.size()) << prompt;
    all.resize(expected.size());
    EXPECT_EQ(all, expected) << prompt;
  }
}

// Quantized, tokens do not depend on the batch, the chunks of the prefill or the threads.
TEST_F(PocketMixtral, Fp8TokensDependOnNothingElse) {
  SilentProgress silent;
  QuantizeOptions options = quantize_options("mixtral_fp8");
  options.model_dir = kMixtral;
  quantize(options, silent);
  const std::vector<TokenIds> some = prompts(9);
  const std::vector<TokenIds> together = greedy(model_options(options.output_dir), some);
  EXPECT_EQ(greedy(model_options(options.output_dir), {some[4]}).front(), together[4]);
  EXPECT_EQ(greedy(model_options(options.output_dir, 1), some), together);
  EXPECT_EQ(greedy(model_options(options.output_dir), some, {.max_num_tokens = 7}), together);
  const auto manifest =
      nlohmann::json::parse(content_of(options.output_dir / "octavo_manifest.json"));
  int64_t tokens = 0;
  for (int expert = 0; expert < 4; ++expert)
    tokens += manifest["expert_tokens"]
                      [fmt::format("model.layers.0.block_sparse_moe.experts.{}.w1", expert)]
                          .get<int64_t>();
  EXPECT_EQ(tokens, 2 * manifest["calibration"]["tokens"].get<int64_t>());
}

}  // namespace
}  // namespace octavo
