// quantize as callers see it.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/quantize.h"

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

class QuantizeTest : public testing::Test {
 protected:
  QuantizeOptions options() const {
    return {.model_dir = kPocket,
            .output_dir = folder_ / "fp8",
            .calib_dataset = kPocket / "calibration.jsonl",
            .calib_size = 3,
            .calib_max_seq_length = 32};
  }

  Error refusal(const QuantizeOptions& options) {
    const Error error = error_of([&] { quantize(options, silent_); });
    EXPECT_TRUE(names_in(folder_.path()).empty()) << error.what();
    return error;
  }

  TemporaryDirectory folder_;
  SilentProgress silent_;
};

TEST_F(QuantizeTest, WritesACheckpointAndReports) {
  QuantizeOptions asked = options();
  asked.kv_cache_dtype = "fp8";
  const QuantizeReport report = quantize(asked, silent_);
  EXPECT_EQ(report.quantized_linears, 6 * 7);
  EXPECT_EQ(report.samples, 3);
  EXPECT_LE(report.tokens, 3 * 32);
  EXPECT_LT(report.bytes_after, report.bytes_before * 3 / 4);
  EXPECT_FALSE(report.text_after.empty());
  ASSERT_EQ(report.worst_modules.size(), 10u);
  EXPECT_LT(report.worst_modules.front().second, 0.13);
  const ModelDir opened = open_model_dir(folder_ / "fp8");
  EXPECT_EQ(opened.quantization.weights, kFp8PerTensor);
  EXPECT_EQ(opened.quantization.kv_cache, kFp8PerTensor);
  const nlohmann::json manifest = read_json_file(folder_ / "fp8/octavo_manifest.json");
  EXPECT_EQ(manifest["calibration"]["source"], "calibration.jsonl");
  EXPECT_EQ(manifest["calibration"]["samples"], 3);
  EXPECT_EQ(manifest["input_amax"].size(), 42u);
  EXPECT_EQ(manifest["key_amax"].size(), 6u);

  // A quantized checkpoint is no input.
  asked.model_dir = folder_ / "fp8";
  asked.output_dir = folder_ / "again";
  EXPECT_EQ(error_of([&] { quantize(asked, silent_); }).category(), ErrorCategory::kUnsupported);
}

TEST_F(QuantizeTest, DummyWeightsNeedOnlyTheConfig) {
  std::filesystem::create_directory(folder_ / "config");
  std::filesystem::copy_file(kPocket / "config.json", folder_ / "config/config.json");
  const QuantizeOptions asked{.model_dir = folder_ / "config",
                              .output_dir = folder_ / "fp8",
                              .load_format = "dummy",
                              .kv_cache_dtype = "fp8",
                              .calib_size = 2,
                              .calib_max_seq_length = 32};
  const QuantizeReport report = quantize(asked, silent_);
  EXPECT_EQ(report.quantized_linears, 6 * 7);
  EXPECT_EQ(report.tokens, 2 * 32);
  EXPECT_LT(report.bytes_after, report.bytes_before * 3 / 4);
  EXPECT_TRUE(report.prompt.empty());  // without a tokenizer there is no text
  const ModelDir opened = open_model_dir(folder_ / "fp8");
  EXPECT_EQ(opened.quantization.weights, kFp8PerTensor);
  EXPECT_FALSE(opened.has_tokenizer);
  const nlohmann::json manifest = read_json_file(folder_ / "fp8/octavo_manifest.json");
  EXPECT_EQ(manifest["load_format"], "dummy");
  EXPECT_EQ(manifest["calibration"]["source"], "random ids");
}

TEST_F(QuantizeTest, RefusesBeforeItWorks) {
  const auto with = [&](auto change) {
    QuantizeOptions changed = options();
    change(changed);
    return refusal(changed);
  };
  using O = QuantizeOptions&;
  EXPECT_THAT(with([](O o) { o.load_format = "gguf"; }).what(), HasSubstr("--load_format"));
  EXPECT_THAT(with([](O o) { o.qformat = "int3"; }).what(), HasSubstr("--qformat: expected one"));
  EXPECT_THAT(with([](O o) { o.qformat = "full_prec"; }).what(), HasSubstr("quantize nothing"));
  EXPECT_THAT(with([](O o) { o.kv_cache_dtype = "int8"; }).what(), HasSubstr("none|fp8"));
  EXPECT_THAT(with([](O o) { o.calib_size = 0; }).what(), HasSubstr("--calib_size"));
  EXPECT_THAT(with([](O o) { o.batch_size = 5000; }).what(), HasSubstr("--batch_size"));
  EXPECT_THAT(with([](O o) { o.export_format = "gguf"; }).what(), HasSubstr("--export_format"));
  EXPECT_THAT(with([](O o) { o.device = "cuda"; }).what(), HasSubstr("--device cuda"));
  EXPECT_THAT(with([](O o) { o.dtype = "float16"; }).what(), HasSubstr("--dtype"));
  EXPECT_EQ(with([](O o) { o.output_dir = kPocket; }).category(), ErrorCategory::kUsage);
  EXPECT_NE(with([](O o) { o.calib_dataset = "/no/such/file"; }).category(),
            ErrorCategory::kInternal);
}

}  // namespace
}  // namespace octavo
