// Quantized checkpoints as they stand on disk.
// SPDX-License-Identifier: Apache-2.0
#include "quant/export.h"

#include <gtest/gtest.h>

#include "backend/cpu/kernels.h"
#include "core/host_device.h"
#include "io/json.h"
#include "io/test_support.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

const std::filesystem::path kModel = OCTAVO_SOURCE_DIR "/models/pocket-llama";

QuantizationPlan make_plan(const ModelDir& model, int threads) {
  KernelRegistry registry;
  registry.add(cpu_kernels());
  ThreadPool pool(threads);
  HostDevice device(pool);
  const CalibrationStatistics statistics =
      calibrate(model, {{0, 17, 99, 1000}, {0, 5, 6}}, registry, device, {});
  return plan_quantization(model, find_quant_format("fp8"), statistics, {.fp8_kv_cache = true});
}

class ExportTest : public testing::Test {
 protected:
  std::filesystem::path write(std::string_view name, const QuantizationPlan& plan) {
    export_checkpoint(model_, plan, folder_ / name, {.manifest = {{"seed", 1}}});
    return folder_ / name;
  }

  ModelDir model_ = open_model_dir(kModel);
  TemporaryDirectory folder_;
};

TEST_F(ExportTest, OpensAgainWithTheSameWeights) {
  const QuantizationPlan plan = make_plan(model_, 1);
  const ModelDir opened = open_model_dir(write("fp8", plan));
  EXPECT_EQ(opened.quantization.weights, kFp8PerTensor);
  EXPECT_EQ(opened.quantization.kv_cache, kFp8PerTensor);
  EXPECT_EQ(opened.quantization.exclude_modules, std::vector<std::string>{"lm_head"});
  EXPECT_TRUE(opened.has_tokenizer);
  const QuantizedWeights expected(model_.weights, model_, plan);
  ASSERT_EQ(opened.weights->names().size(), expected.names().size());
  for (const std::string& name : expected.names()) {
    const Tensor a = read_tensor(expected, name), b = read_tensor(*opened.weights, name);
    ASSERT_EQ(a.dtype(), b.dtype()) << name;
    ASSERT_TRUE(std::equal(a.data(), a.data() + a.bytes(), b.data())) << name;
  }
}

TEST_F(ExportTest, ModelOptsLayout) {
  const auto folder = write("fp8", make_plan(model_, 1));
  const nlohmann::json quant = read_json_file(folder / "hf_quant_config.json");
  EXPECT_EQ(quant["quantization"]["quant_algo"], "FP8");
  EXPECT_EQ(quant["quantization"]["kv_cache_quant_algo"], "FP8");
  EXPECT_EQ(quant["quantization"]["exclude_modules"], nlohmann::json({"lm_head"}));
  const nlohmann::json config = read_json_file(folder / "config.json");
  EXPECT_EQ(config["quantization_config"]["quant_method"], "modelopt");
  EXPECT_EQ(config["hidden_size"], 256);
  EXPECT_EQ(read_json_file(folder / "octavo_manifest.json")["seed"], 1);
  EXPECT_EQ(read_bytes(folder / "tokenizer.json"), read_bytes(kModel / "tokenizer.json"));
}

TEST_F(ExportTest, ThreadsChangeNoByte) {
  const auto a = write("one", make_plan(model_, 1));
  const auto b = write("three", make_plan(model_, 3));
  ASSERT_EQ(names_in(a), names_in(b));
  for (const std::string& name : names_in(a)) EXPECT_EQ(read_bytes(a / name), read_bytes(b / name));
}

TEST_F(ExportTest, TheModelIsNeverOverwritten) {
  const QuantizationPlan plan{.scales = {}};
  EXPECT_THROW(export_checkpoint(model_, plan, kModel, {.overwrite = true}), Error);
  folder_.write("full/note.txt", "mine");
  EXPECT_THROW(export_checkpoint(model_, plan, folder_ / "full", {}), Error);
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"full"});
}

}  // namespace
}  // namespace octavo
