// What inspect and doctor say.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/api_support.h"
#include "io/test_support.h"
#include "octavo/build.h"

namespace octavo {
namespace {

using testing::HasSubstr;

TEST(Inspect, Checkpoints) {
  const nlohmann::json json = nlohmann::json::parse(inspect({.dir = kPocket}, /*json=*/true));
  EXPECT_EQ(json["kind"], "checkpoint");
  EXPECT_EQ(json["architecture"], "LlamaForCausalLM");
  EXPECT_EQ(json["layers"], 6);
  EXPECT_EQ(json["quantization"], "none");
  EXPECT_EQ(json["tensors"]["bfloat16"]["tensors"], 6 * 9 + 3);
  const std::string text = inspect({.dir = kPocket}, /*json=*/false);
  EXPECT_THAT(text, HasSubstr("hidden_size: 256\n"));
}

TEST(Inspect, EnginesAndTheirKernels) {
  const TemporaryDirectory folder;
  SilentProgress silent;
  build({.checkpoint_dir = kPocket, .output_dir = folder / "e"}, silent);
  const nlohmann::json json =
      nlohmann::json::parse(inspect({.dir = folder / "e", .kernels = true}, /*json=*/true));
  EXPECT_EQ(json["kind"], "engine");
  EXPECT_EQ(json["engine"]["num_layers"], 6);
  EXPECT_EQ(json["provenance"]["checkpoint"], "pocket-llama");
  const nlohmann::json& calls = json["kernels"][0]["calls"];
  EXPECT_EQ(calls[0]["op"], "embedding");
  EXPECT_THAT(calls[0]["kernel"].get<std::string>(), testing::StartsWith("cpu_"));
  EXPECT_THAT(inspect({.dir = folder / "e"}, /*json=*/false), HasSubstr("kind: engine\n"));
}

TEST(Inspect, NoModelNoReport) {
  const TemporaryDirectory folder;
  EXPECT_EQ(error_of([&] { inspect({.dir = folder.path()}, true); }).category(),
            ErrorCategory::kBadFile);
}

TEST(Doctor, DescribesThisMachine) {
  const nlohmann::json json = nlohmann::json::parse(doctor(/*json=*/true));
  EXPECT_TRUE(json.contains("cpu"));
  EXPECT_FALSE(json["formats"].empty());
  EXPECT_GT(json["kernels"], 0);
  EXPECT_THAT(doctor(/*json=*/false), HasSubstr("CUDA"));
}

}  // namespace
}  // namespace octavo
