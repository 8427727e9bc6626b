// Opening of model folders.
// SPDX-License-Identifier: Apache-2.0
#include "model/model_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "model/checkpoint_weights.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;
const fs::path kModel = OCTAVO_SOURCE_DIR "/models/pocket-llama";

class ModelDirTest : public testing::Test {
 protected:
  ModelDirTest()
      : dir_(fs::path(testing::TempDir()) /
             testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    for (const char* name : {"config.json", "model.safetensors", "generation_config.json"}) {
      fs::copy_file(kModel / name, dir_ / name);
    }
  }
  ~ModelDirTest() override { fs::remove_all(dir_); }

  nlohmann::json config() const {
    return nlohmann::json::parse(std::ifstream(dir_ / "config.json"));
  }
  void write(const char* name, const nlohmann::json& json) const {
    std::ofstream(dir_ / name) << json.dump();
  }
  std::string error() const {
    try {
      open_model_dir(dir_);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  fs::path dir_;
};

TEST_F(ModelDirTest, OpensPocketLlama) {
  const ModelDir model = open_model_dir(kModel);
  EXPECT_EQ(model.config.num_layers, 6);
  EXPECT_TRUE(model.has_tokenizer);
  EXPECT_FALSE(model.quantization.quantized());
  EXPECT_EQ(model.weights->info("model.norm.weight")->shape, Shape({256}));
  EXPECT_NO_THROW(model.verify_unchanged());
}

TEST_F(ModelDirTest, AllWrongShapesInOneMessage) {
  nlohmann::json json = config();
  json["intermediate_size"] = 700;
  write("config.json", json);
  EXPECT_THAT(error(),
              testing::AllOf(
                  testing::HasSubstr("18 tensors do not fit"),
                  testing::HasSubstr("mlp.gate_proj.weight: expected [700, 256], got [768, 256]")));
}

TEST_F(ModelDirTest, MissingTensorsAreListed) {
  nlohmann::json json = config();
  json["num_hidden_layers"] = 7;
  write("config.json", json);
  EXPECT_THAT(error(), testing::AllOf(testing::HasSubstr("9 tensors"),
                                      testing::HasSubstr("model.layers.6.")));
}

TEST_F(ModelDirTest, TiedEmbeddingsWithAnotherHeadAreRefused) {
  nlohmann::json json = config();
  json["tie_word_embeddings"] = true;
  write("config.json", json);
  EXPECT_THAT(error(), testing::HasSubstr("lm_head.weight"));
}

TEST_F(ModelDirTest, UnknownArchitectureListsTheSupported) {
  nlohmann::json json = config();
  json["architectures"] = {"MambaForCausalLM"};
  write("config.json", json);
  EXPECT_THAT(
      error(),
      testing::AllOf(testing::HasSubstr("expected one of LlamaForCausalLM, MistralForCausalLM, "),
                     testing::HasSubstr("got \"MambaForCausalLM\"")));
  json["architectures"] = {"LlamaForCausalLM"};
  json["model_type"] = "mistral";
  write("config.json", json);
  EXPECT_THAT(error(), testing::HasSubstr("model_type"));
}

TEST_F(ModelDirTest, NoConfigNoModel) {
  fs::remove(dir_ / "config.json");
  EXPECT_THAT(error(), testing::HasSubstr("config.json"));
}

TEST_F(ModelDirTest, DummyWeightsNeedOnlyAConfig) {
  const ModelDir model =
      open_model_dir(OCTAVO_SOURCE_DIR "/configs/llama-3.3-70b", LoadFormat::kDummy);
  EXPECT_EQ(model.config.num_layers, 80);
  EXPECT_EQ(model.weights->info("lm_head.weight")->shape, Shape({128256, 8192}));
}

}  // namespace
}  // namespace octavo
