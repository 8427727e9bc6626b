// Engine directories as they stand on disk.
// SPDX-License-Identifier: Apache-2.0
#include "builder/engine_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/draft_support.h"
#include "io/engine_file.h"
#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

class EngineWriterTest : public testing::Test {
 protected:
  EngineWriterTest() : model_(tiny_model(fp8_with_kv_cache())) {
    folder_.write("model/tokenizer.json", "{\"a\": 1}");
    model_.path = folder_ / "model";
    model_.config_json = {{"model_type", "llama"}};
    blueprint_ = make_blueprint(model_, {}, cpu_registry());
  }

  std::filesystem::path write(std::string_view name, EngineWriteOptions options = {}) {
    write_engine(model_, {blueprint_}, folder_ / name, options);
    return folder_ / name;
  }

  TemporaryDirectory folder_;
  ModelDir model_;
  Blueprint blueprint_;
};

TEST_F(EngineWriterTest, FilesAndManifest) {
  const auto engine = write("engine", {.provenance = {{"made", "from a test"}}});
  EXPECT_EQ(names_in(engine),
            (std::vector<std::string>{"config.json", "rank0.engine", "tokenizer.json"}));
  const nlohmann::json config = read_json_file(engine / "config.json");
  EXPECT_EQ(config["octavo_engine"]["format_version"], 1);
  EXPECT_EQ(config["octavo_engine"]["ranks"], 1);
  EXPECT_EQ(config["engine"], to_json(blueprint_.config));
  EXPECT_EQ(config["model_config"], model_.config_json);
  EXPECT_EQ(config["provenance"]["made"], "from a test");
  EXPECT_EQ(EngineFile::open(engine / "rank0.engine").meta()["build_id"],
            config["octavo_engine"]["build_id"]);
}

TEST_F(EngineWriterTest, WeightsAreThoseOfTheImage) {
  const EngineFile file = EngineFile::open(write("engine") / "rank0.engine");
  const EngineImage image = build_image(model_, {}, cpu_registry());
  ASSERT_EQ(file.tensors().size(), image.weights.size());
  for (const EngineWeight& weight : image.weights) {
    const EngineTensor& tensor = file.require(weight.name);
    std::vector<std::byte> bytes(static_cast<size_t>(weight.tensor.bytes()));
    file.read(tensor, 0, bytes);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), weight.tensor.data())) << weight.name;
  }
}

TEST_F(EngineWriterTest, SameBytesEveryTime) {
  const auto a = write("a"), b = write("b");
  for (const char* name : {"config.json", "rank0.engine"})
    EXPECT_EQ(read_bytes(a / name), read_bytes(b / name));
}

TEST_F(EngineWriterTest, WhatIsThereIsKeptUnlessAskedFor) {
  const auto engine = write("engine");
  EXPECT_THROW(write("engine"), Error);
  EXPECT_NO_THROW(write("engine", {.overwrite = true}));
  EXPECT_THROW(write("model", {.overwrite = true}), Error);  // an input
}

TEST_F(EngineWriterTest, AFailureLeavesNothing) {
  const auto weights = std::make_shared<EditedWeights>(model_.weights);
  weights->remove("model.norm.weight");
  model_.weights = weights;
  EXPECT_THROW(write("engine"), Error);
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"model"});
}

}  // namespace
}  // namespace octavo
