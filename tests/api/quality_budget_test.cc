// Quantization within a budget of perplexity.
// SPDX-License-Identifier: Apache-2.0
#include "api/quality_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/api_support.h"
#include "io/json.h"
#include "io/test_support.h"
#include "model/model_dir.h"

namespace octavo {
namespace {

using testing::HasSubstr;

TEST(Fewest, IsFoundInLogarithmicallyManyTries) {
  for (const int64_t wanted : {1, 2, 3, 7, 40, 80}) {
    int64_t tries = 0;
    const auto holds = [&](int64_t count) { return ++tries, count >= wanted; };
    EXPECT_EQ(fewest(80, holds), wanted);
    EXPECT_LE(tries, 7);
  }
  EXPECT_EQ(fewest(80, [](int64_t) { return false; }), std::nullopt);
  EXPECT_EQ(fewest(0, [](int64_t) { return true; }), std::nullopt);
}

class QualityBudgetTest : public testing::Test {
 protected:
  // Small enough for seconds; perplexities of so few tokens are no figures to quote.
  QuantizeOptions options() const {
    return {.model_dir = kPocket,
            .output_dir = folder_ / "out",
            .calib_dataset = kPocket / "calibration.jsonl",
            .calib_size = 4,
            .calib_max_seq_length = 64,
            .quality_tokens = 513,
            .quality_context = 128};
  }

  nlohmann::json manifest() const { return read_json_file(folder_ / "out/octavo_manifest.json"); }

  Error refusal(const QuantizeOptions& options) {
    const Error error = error_of([&] { quantize(options, silent_); });
    EXPECT_TRUE(names_in(folder_.path()).empty()) << error.what();
    return error;
  }

  TemporaryDirectory folder_;
  SilentProgress silent_;
};

TEST_F(QualityBudgetTest, AWideBudgetLeavesNothingOut) {
  QuantizeOptions asked = options();
  asked.max_ppl_increase = 0.5;
  const QuantizeReport report = quantize(asked, silent_);
  ASSERT_TRUE(report.quality);
  const QualityReport& quality = *report.quality;
  EXPECT_EQ(report.quantized_linears, 6 * 7);
  EXPECT_TRUE(quality.layers_left.empty());
  EXPECT_EQ(quality.bytes_of_layers_left, 0u);
  EXPECT_EQ(quality.models_measured, 2);  // the 16-bit and the quantized one
  EXPECT_EQ(quality.perplexity, quality.all_quantized_perplexity);
  EXPECT_NEAR(quality.ppl_increase, quality.perplexity / quality.reference_perplexity - 1, 1e-12);
  EXPECT_LE(quality.ppl_increase_interval.first, quality.ppl_increase);
  EXPECT_GE(quality.ppl_increase_interval.second, quality.ppl_increase);
  EXPECT_EQ(quality.tokens, 512);
  EXPECT_EQ(manifest()["quality"]["layers_left"].size(), 0u);
}

// 4 bits cost this model more than 5 %, so that layers must go; every layer alone is cheap enough.
TEST_F(QualityBudgetTest, TheMostSensitiveLayersStayInSixteenBit) {
  QuantizeOptions asked = options();
  asked.qformat = "int4_awq";
  asked.max_ppl_increase = 0.05;
  asked.quality_tokens = 2049;
  const QuantizeReport report = quantize(asked, silent_);
  const QualityReport& quality = *report.quality;
  EXPECT_GT(quality.all_quantized_perplexity, 1.05 * quality.reference_perplexity);
  EXPECT_LE(quality.ppl_increase, 0.05);
  ASSERT_EQ(quality.layer_kl.size(), 6u);
  const auto left = static_cast<int64_t>(quality.layers_left.size());
  ASSERT_GT(left, 0);
  ASSERT_LT(left, 6);
  EXPECT_EQ(report.quantized_linears, (6 - left) * 7);
  for (int64_t i = 0; i + 1 < 6; ++i)
    EXPECT_GE(quality.layer_kl[i].second, quality.layer_kl[i + 1].second);
  for (int64_t i = 0; i < left; ++i)
    EXPECT_THAT(quality.layers_left, testing::Contains(quality.layer_kl[i].first));
  // The folder is an ordinary checkpoint whose layers are what the report says.
  const ModelDir written = open_model_dir(folder_ / "out");
  for (const auto& [layer, kl] : quality.layer_kl) {
    const auto info = written.weights->info(layer + ".mlp.down_proj.weight");
    const bool codes = is_code(info->dtype);
    EXPECT_NE(codes, std::ranges::count(quality.layers_left, layer) == 1) << layer;
  }
  EXPECT_EQ(manifest()["quality"]["layers_left"], nlohmann::json(quality.layers_left));
  EXPECT_EQ(manifest()["quality"]["perplexity"], quality.perplexity);
  // Layers that are left have the original's tensors, not those that the search of scales folded.
  const ModelDir original = open_model_dir(kPocket);
  const std::string norm = quality.layers_left.front() + ".input_layernorm.weight";
  const Tensor a = read_tensor(*original.weights, norm), b = read_tensor(*written.weights, norm);
  EXPECT_TRUE(std::equal(a.data(), a.data() + a.bytes(), b.data()));
}

TEST_F(QualityBudgetTest, TheSameInputGivesTheSameBytes) {
  QuantizeOptions asked = options();
  asked.qformat = "int4_awq";
  asked.max_ppl_increase = 0.09;
  asked.threads = 1;
  quantize(asked, silent_);
  std::map<std::string, std::string> first;
  for (const std::string& name : names_in(folder_ / "out"))
    first[name] = read_bytes(folder_ / ("out/" + name));
  asked.threads = 2;
  asked.overwrite = true;
  quantize(asked, silent_);
  for (const auto& [name, bytes] : first)
    EXPECT_EQ(read_bytes(folder_ / ("out/" + name)), bytes) << name;
}

TEST_F(QualityBudgetTest, ABudgetThatNothingKeepsWritesNothing) {
  QuantizeOptions asked = options();
  asked.qformat = "int4_awq";
  asked.max_ppl_increase = 0.0;
  const Error error = refusal(asked);
  EXPECT_EQ(error.category(), ErrorCategory::kGateFailed);
  EXPECT_THAT(error.what(), HasSubstr("nothing was written"));
}

TEST_F(QualityBudgetTest, HeldOutTextIsNotCalibratedWith) {
  const ModelDir model = open_model_dir(kPocket);
  QuantizeOptions asked = options();
  const std::vector<int32_t> behind = quality_stream(asked, model);
  EXPECT_EQ(std::ssize(behind), 513);
  // The calibration file itself, named once more, is no other text.
  asked.quality_dataset = asked.calib_dataset;
  EXPECT_EQ(quality_stream(asked, model), behind);
  asked.quality_dataset = folder_.write("other.txt", std::string(4000, 'x') + " the end");
  EXPECT_NE(quality_stream(asked, model), behind);
}

TEST_F(QualityBudgetTest, RefusesBeforeItCalibrates) {
  const auto with = [&](auto change) {
    QuantizeOptions changed = options();
    changed.max_ppl_increase = 0.01;
    change(changed);
    return refusal(changed);
  };
  using O = QuantizeOptions&;
  EXPECT_THAT(with([](O o) { o.calib_size = 100000; }).what(), HasSubstr("leaves none of the"));
  EXPECT_THAT(with([](O o) { o.calib_dataset.clear(); }).what(), HasSubstr("--quality_dataset"));
  EXPECT_THAT(with([](O o) { o.max_ppl_increase = -1.0; }).what(), HasSubstr("a share of 0"));
  EXPECT_THAT(with([](O o) { o.quality_tokens = 0; }).what(), HasSubstr("--quality_tokens"));
  EXPECT_THAT(with([](O o) { o.quality_context = 1 << 20; }).what(), HasSubstr("takes at most"));
  EXPECT_THAT(with([](O o) { o.quality_tokens = 128; }).what(), HasSubstr("fewer than one window"));
  EXPECT_THAT(with([](O o) { o.load_format = "dummy"; }).what(), HasSubstr("no quality"));
  EXPECT_THAT(with([](O o) {
                o.max_ppl_increase.reset();
                o.quality_dataset = "x.txt";
              }).what(),
              HasSubstr("needs --max_ppl_increase"));
}

}  // namespace
}  // namespace octavo
