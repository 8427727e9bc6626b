// Every dialect computes what the dequantized model computes.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "builder/draft_support.h"

namespace octavo {
namespace {

const std::filesystem::path kDialects = OCTAVO_SOURCE_DIR "/tests/data/dialects";

// Logits with inputs as they are, or quantized as the checkpoint says.
std::vector<float> logits(const std::string& dialect, bool quantize_inputs, bool fused = false) {
  ModelDir model = open_model_dir(kDialects / dialect);
  if (!quantize_inputs) {
    model.quantization.inputs = {};
    for (ModuleScheme& module : model.quantization.modules) module.scheme.inputs = {};
  }
  BuildConfig options;
  options.dtype = "float32";
  Draft draft = draft_program(model, options);
  if (fused) {
    for (const Fusion& fusion : fusion_table()) {
      if (fusion.enabled(options)) fusion.apply(draft);
    }
    remove_dead_tensors(draft.program);
    validate(draft.program);
  }
  return logits_of(draft, *model.weights);
}

// A weight's code times its scale is rounded once in the dequantized checkpoint, and once or twice
// in the linear: 3 units of each product. Through 2 layers of 7 linears, each of depth 24 at most
// with its own summation error of 2 · 24 units, and norms that spread a relative change over a row.
void expect_close(const std::vector<float>& a, const std::vector<float>& b,
                  const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  float largest = 0.0f;
  for (const float value : a) largest = std::max(largest, std::fabs(value));
  const float bound = 14 * 51 * 0x1p-24f * 16 * largest;
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], bound) << what << " at " << i;
}

TEST(Dialects, WeightsStandForTheDequantizedModel) {
  const std::pair<const char*, const char*> pairs[] = {
      {"tensor-modelopt", "tensor-dequantized"},     {"channel-compressed", "channel-dequantized"},
      {"block-fine-grained", "block-dequantized"},   {"int8-modelopt", "int8-dequantized"},
      {"int4-modelopt", "int4-dequantized"},         {"int8-compressed-packed", "int8-dequantized"},
      {"int4-compressed-packed", "int4-dequantized"}};
  for (const auto& [quantized, dequantized] : pairs)
    expect_close(logits(dequantized, true), logits(quantized, false), quantized);
}

TEST(Dialects, SpellingsComputeTheSame) {
  const std::vector<std::vector<const char*>> groups = {
      {"tensor-modelopt", "tensor-modelopt-flat", "tensor-compressed", "tensor-compressed-names",
       "tensor-autofp8", "tensor-fp8-static"},
      {"channel-modelopt", "channel-modelopt-column", "channel-compressed"},
      {"cache-modelopt", "cache-attention", "cache-fused", "cache-output", "cache-compressed"},
      {"partly-compressed", "partly-modelopt"},
      {"block-fine-grained", "block-fine-grained-alias", "block-compressed"}};
  for (const auto& spellings : groups) {
    const std::vector<float> first = logits(spellings.front(), true);
    for (const char* spelling : spellings) EXPECT_EQ(logits(spelling, true), first) << spelling;
  }
}

// Inputs lose at most 1/16 a code, so that logits stay near; and they do change.
TEST(Dialects, InputsAreQuantized) {
  for (const char* dialect : {"channel-modelopt", "block-fine-grained"}) {
    const std::vector<float> exact = logits(dialect, false), coded = logits(dialect, true);
    EXPECT_NE(exact, coded) << dialect;
    double error = 0, norm = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      error += std::pow(exact[i] - coded[i], 2), norm += std::pow(exact[i], 2);
    }
    EXPECT_LT(std::sqrt(error / norm), 0.25) << dialect;
  }
}

TEST(Dialects, MergedLinearsKeepTheirScales) {
  for (const char* dialect : {"tensor-modelopt", "channel-modelopt", "block-fine-grained",
                              "int8-modelopt", "int4-modelopt", "cache-compressed"})
    EXPECT_EQ(logits(dialect, true, /*fused=*/true), logits(dialect, true)) << dialect;
}

}  // namespace
}  // namespace octavo
