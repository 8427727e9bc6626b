// Where models come from: engines, checkpoints, random weights.
// SPDX-License-Identifier: Apache-2.0
#include "api/model_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"
#include "octavo/build.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class ModelSourceTest : public testing::Test {
 protected:
  LoadedModel load(const ModelOptions& options) { return load_model(options, pool_, silent_); }

  ThreadPool pool_;
  SilentProgress silent_;
};

TEST_F(ModelSourceTest, EngineAndCheckpointAreTheSameModel) {
  const TemporaryDirectory folder;
  build({.checkpoint_dir = kPocket,
         .output_dir = folder / "engine",
         .config = pocket_options().build_config},
        silent_);
  const LoadedModel engine = load({.engine_dir = folder / "engine"});
  const LoadedModel checkpoint = load(pocket_options());
  EXPECT_EQ(engine.weight_bytes(), checkpoint.weight_bytes());
  EXPECT_EQ(engine.image->weights.size(), checkpoint.image->weights.size());
  EXPECT_EQ(engine.required_tokenizer().encode("a b"), checkpoint.tokenizer->encode("a b"));
}

TEST_F(ModelSourceTest, DummyWeightsOfEveryFormat) {
  ModelOptions options = dummy_options();
  EXPECT_EQ(load(options).image->config.quantization, "none");
  options.qformat = "fp8";
  options.build_config.kv_cache_dtype = "fp8";
  const LoadedModel fp8 = load(options);
  EXPECT_EQ(fp8.image->config.quantization, "fp8");
  EXPECT_EQ(fp8.image->config.kv_cache_dtype, "fp8");
}

TEST_F(ModelSourceTest, EitherAnEngineOrACheckpoint) {
  for (const ModelOptions& options :
       {ModelOptions{}, ModelOptions{.engine_dir = kPocket, .model_dir = kPocket}}) {
    EXPECT_EQ(error_of([&] { load(options); }).category(), ErrorCategory::kUsage);
  }
}

TEST_F(ModelSourceTest, RefusesWhatItCannotDo) {
  ModelOptions options = pocket_options();
  options.qformat = "fp8";
  EXPECT_THAT(error_of([&] { load(options); }).what(), HasSubstr("octavo quantize"));
  options = pocket_options();
  options.load_format = "gguf";
  EXPECT_THAT(error_of([&] { load(options); }).what(), HasSubstr("--load_format: expected auto"));
}

TEST_F(ModelSourceTest, AFolderWithoutATokenizerSaysSoWhenOneIsNeeded) {
  ModelOptions options = dummy_options();
  options.model_dir = OCTAVO_SOURCE_DIR "/configs/llama-3.2-1b";
  EXPECT_NO_THROW(open_model(options));
  const LoadedModel none{.source = "there"};
  EXPECT_THAT(error_of([&] { none.required_tokenizer(); }).what(),
              HasSubstr("there/tokenizer.json: cannot open"));
}

TEST(RunnerOptionsOf, NeverMoreThanTheEngineWasBuiltFor) {
  const EngineConfig config{.max_batch_size = 8, .max_num_tokens = 64, .tokens_per_block = 32};
  RuntimeOptions options{.max_batch_size = 8, .max_num_tokens = 9};
  options.kv_cache_config.max_tokens = 65;
  const RunnerOptions resolved = runner_options(config, options);
  EXPECT_EQ(resolved.max_batch_size, 8);
  EXPECT_EQ(resolved.max_num_tokens, 9);
  EXPECT_EQ(resolved.num_blocks, 3);
  options.max_batch_size = 9;
  EXPECT_THAT(error_of([&] { runner_options(config, options); }).what(),
              HasSubstr("--max_batch_size 9: the engine was built for 8"));
  for (const double fraction : {0.0, 1.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    RuntimeOptions bad;
    bad.kv_cache_config.free_gpu_memory_fraction = fraction;
    EXPECT_EQ(error_of([&] { runner_options(config, bad); }).category(), ErrorCategory::kUsage);
  }
}

}  // namespace
}  // namespace octavo
