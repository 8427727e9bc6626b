// Export and import of every format in both layouts: the same tensors, bit for bit.
// SPDX-License-Identifier: Apache-2.0
#include "quant/export_dialect.h"

#include <gtest/gtest.h>

#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

const std::filesystem::path kModel = OCTAVO_SOURCE_DIR "/tests/data/dialects/tensor-dequantized";

QuantizationPlan plan_of(const ModelDir& model, const char* format,
                         const PlanOptions& options = {}) {
  CalibrationStatistics statistics;
  return plan_quantization(model, find_quant_format(format), statistics, options);
}

void expect_round_trip(const QuantizationPlan& plan, ExportFormat format, const std::string& what) {
  const ModelDir model = open_model_dir(kModel);
  const TemporaryDirectory folder;
  export_checkpoint(model, plan, folder / "out", {.format = format, .manifest = {}});
  const ModelDir opened = open_model_dir(folder / "out");
  const QuantizedWeights expected(model.weights, model, plan);
  ASSERT_EQ(opened.weights->names(), expected.names()) << what;
  for (const std::string& name : expected.names()) {
    const Tensor a = read_tensor(expected, name), b = read_tensor(*opened.weights, name);
    ASSERT_EQ(a.dtype(), b.dtype()) << what << name;
    ASSERT_EQ(a.shape(), b.shape()) << what << name;
    ASSERT_TRUE(std::equal(a.data(), a.data() + a.bytes(), b.data())) << what << name;
  }
  for (const ModelTensor& tensor : model_tensors(*model.architecture, model.config))
    EXPECT_EQ(opened.quantization.scheme_of(tensor.module).weights,
              plan.quantization.scheme_of(tensor.module).weights)
        << what << tensor.module;
  EXPECT_EQ(opened.quantization.kv_cache, plan.quantization.kv_cache) << what;
}

TEST(ExportDialect, RoundTripsAreBitEqual) {
  const ModelDir model = open_model_dir(kModel);
  for (const char* name : {"fp8", "fp8_pc_pt", "fp8_block", "int8_wo", "int4_awq", "full_prec"}) {
    for (const ExportFormat format : {ExportFormat::kModelOpt, ExportFormat::kCompressedTensors}) {
      PlanOptions options{.exclude_modules = {"*.layers.1.mlp*"}, .fp8_kv_cache = true};
      expect_round_trip(plan_of(model, name, options), format, std::string(name) + " ");
    }
  }
}

TEST(ExportDialect, MixedPrecision) {
  const ModelDir model = open_model_dir(kModel);
  const PlanOptions options{.module_formats = {{"*.q_proj", &find_quant_format("int4_awq")},
                                               {"*.mlp.*", &find_quant_format("fp8_block")},
                                               {"*.o_proj", &find_quant_format("full_prec")}}};
  const QuantizationPlan plan = plan_of(model, "fp8_pc_pt", options);
  EXPECT_EQ(plan.quantization.scheme_of("model.layers.0.mlp.up_proj"), kFp8Block);
  EXPECT_FALSE(plan.quantization.scheme_of("model.layers.0.self_attn.o_proj").quantized());
  for (const ExportFormat format : {ExportFormat::kModelOpt, ExportFormat::kCompressedTensors})
    expect_round_trip(plan, format, "mixed ");
}

TEST(ExportDialect, CompressedTensorsNamesItsOwn) {
  const ModelDir model = open_model_dir(kModel);
  const TemporaryDirectory folder;
  export_checkpoint(model, plan_of(model, "int4_awq", {.fp8_kv_cache = true}), folder / "out",
                    {.format = ExportFormat::kCompressedTensors, .manifest = {}});
  EXPECT_FALSE(std::filesystem::exists(folder / "out" / "hf_quant_config.json"));
  const nlohmann::json block =
      read_json_file(folder / "out" / "config.json")["quantization_config"];
  EXPECT_EQ(block["quant_method"], "compressed-tensors");
  EXPECT_EQ(block["format"], "pack-quantized");
  EXPECT_EQ(block["ignore"], nlohmann::json({"lm_head"}));
  const std::string file = read_bytes(folder / "out" / "model.safetensors");
  for (const char* name : {"up_proj.weight_packed", "up_proj.weight_shape", "self_attn.k_scale"})
    EXPECT_NE(file.find(name), std::string::npos) << name;
}

}  // namespace
}  // namespace octavo
