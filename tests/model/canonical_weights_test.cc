// Checkpoints of every dialect under canonical names, and broken scales, all in one message.
// SPDX-License-Identifier: Apache-2.0
#include "model/canonical_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/model_dir.h"

namespace octavo {
namespace {

using testing::HasSubstr;

const std::filesystem::path kDialects = OCTAVO_SOURCE_DIR "/tests/data/dialects";
constexpr const char* kUp = "model.layers.1.mlp.up_proj";

Tensor read(const char* dialect, const std::string& name) {
  return read_tensor(*open_model_dir(kDialects / dialect).weights, name);
}

void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  EXPECT_EQ(a.dtype(), b.dtype()) << what;
  EXPECT_EQ(a.shape(), b.shape()) << what;
  ASSERT_EQ(a.bytes(), b.bytes()) << what;
  EXPECT_TRUE(std::equal(a.data(), a.data() + a.bytes(), b.data())) << what;
}

TEST(CanonicalWeights, SpellingsHoldTheSameTensors) {
  const std::vector<std::vector<const char*>> groups = {
      {"tensor-modelopt", "tensor-modelopt-flat", "tensor-compressed", "tensor-compressed-names",
       "tensor-autofp8", "tensor-fp8-static"},
      {"channel-modelopt", "channel-modelopt-column", "channel-compressed"},
      {"channel-types-bf16", "channel-types-f32"},
      {"partly-compressed", "partly-modelopt"},
      {"cache-modelopt", "cache-attention", "cache-fused", "cache-output", "cache-compressed"},
      {"block-fine-grained", "block-fine-grained-alias", "block-compressed"},
      {"int8-modelopt", "int8-compressed", "int8-compressed-packed"},
      {"int4-modelopt", "int4-compressed-packed"}};
  for (const auto& spellings : groups) {
    const ModelDir first = open_model_dir(kDialects / spellings.front());
    for (const char* spelling : spellings) {
      const ModelDir model = open_model_dir(kDialects / spelling);
      EXPECT_EQ(model.weights->names(), first.weights->names()) << spelling;
      for (const std::string& name : first.weights->names())
        expect_equal(read_tensor(*first.weights, name), read_tensor(*model.weights, name),
                     std::string(spelling) + " " + name);
    }
  }
}

TEST(CanonicalWeights, OneScaleOfTheCacheServesBoth) {
  const Tensor k = read("shared-cache-autofp8", "model.layers.0.self_attn.k_proj.k_scale");
  expect_equal(k, read("shared-cache-autofp8", "model.layers.0.self_attn.v_proj.v_scale"), "v");
  EXPECT_EQ(*k.as<float>(), 0.02f);
}

TEST(CanonicalWeights, PackedCodesAreReadFromAnyRow) {
  const ModelDir plain = open_model_dir(kDialects / "int4-modelopt");
  const ModelDir packed = open_model_dir(kDialects / "int4-compressed-packed");
  const std::string name = std::string(kUp) + ".weight";
  std::vector<std::byte> a(2 * 16), b(2 * 16);
  plain.weights->read(name, 5, a);
  packed.weights->read(name, 5, b);
  EXPECT_EQ(a, b);
}

TEST(CanonicalWeights, BrokenScalesAreRefusedByName) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"zero", {"up_proj.weight_scale: expected finite positive scales, got 0 at index 3"}},
      {"negative", {"got -1 at index 3"}},
      {"nan", {"got nan at index 3"}},
      {"infinite", {"got inf at index 3"}},
      {"subnormal", {"expected finite positive scales", "at index 3"}},
      {"missing", {"up_proj.weight_scale: expected a scale, got none"}},
      {"shape", {"up_proj.weight_scale: expected float scales of shape [24, 1], got float32 [25]"}},
      {"type", {"expected float scales", "got int32"}},
      {"twice", {"up_proj.weight_scale: stands there twice", "up_proj.weight_scale_inv"}},
      {"sixteen-bit",
       {"up_proj.weight: expected float8_e4m3, as the quantization config says",
        "up_proj.weight_scale: expected none beside a 16-bit weight"}},
      {"ignored", {"0.mlp.down_proj.weight: expected 16-bit", "1.mlp.down_proj.weight: expected"}},
      {"no-input-scale", {"14 tensors do not fit", "q_proj.input_scale: expected a scale"}},
      {"many", {"2 tensors do not fit", "layers.0.mlp.up_proj", "layers.1.mlp.up_proj"}}};
  for (const auto& [name, texts] : cases) {
    try {
      open_model_dir(kDialects / (std::string("broken-") + name));
      ADD_FAILURE() << name << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kBadFile) << name;
      for (const std::string& text : texts) EXPECT_THAT(error.what(), HasSubstr(text)) << name;
    }
  }
}

TEST(CanonicalWeights, InverseScalesOpenWithAWarning) {
  testing::internal::CaptureStderr();
  open_model_dir(kDialects / "inverse-scales");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("are they inverses?"));
}

}  // namespace
}  // namespace octavo
