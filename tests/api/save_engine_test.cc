// The LLM class quantizes, builds, saves; the saved engine runs alike and can be saved again.
// SPDX-License-Identifier: Apache-2.0
#include "api/save_engine.h"

#include <gtest/gtest.h>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

class SaveEngineTest : public testing::Test {
 protected:
  LLMArgs args(const std::filesystem::path& model) const {
    LLMArgs args{.model = model, .workspace = folder_.path()};
    args.kv_cache_config.max_tokens = 2048;
    return args;
  }
  LLMArgs fp8_args() const {
    LLMArgs asked = args(kPocket);
    asked.build_config.max_batch_size = 4;
    asked.build_config.max_num_tokens = 256;
    asked.build_config.max_seq_len = 512;
    asked.quant_config = {.quant_algo = QuantAlgo::kFp8, .kv_cache_quant_algo = QuantAlgo::kFp8};
    asked.calib_config.calib_dataset = kPocket / "calibration.jsonl";
    asked.calib_config.calib_batches = 2;
    asked.calib_config.calib_max_seq_length = 16;
    return asked;
  }
  std::string text_of(LLM& llm) {
    return llm.generate(std::vector<std::string>{"The compiler"}, greedy(6)).front().text;
  }

  TemporaryDirectory folder_;
  SilentProgress silent_;
};

TEST_F(SaveEngineTest, AQuantizedModelIsSavedAndItsEngineAgain) {
  std::string text;
  {
    LLM llm(fp8_args(), silent_);
    text = text_of(llm);
    llm.save(folder_ / "engine", silent_);
    EXPECT_EQ(error_of([&] { llm.save(folder_ / "engine", silent_); }).category(),
              ErrorCategory::kUsage);
  }
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"engine"});
  LLM loaded(args(folder_ / "engine"), silent_);
  EXPECT_EQ(text_of(loaded), text);
  loaded.save(folder_ / "copy", silent_);
  EXPECT_EQ(read_bytes(folder_ / "copy/rank0.engine"), read_bytes(folder_ / "engine/rank0.engine"));
  LLM again(args(folder_ / "copy"), silent_);
  EXPECT_EQ(text_of(again), text);

  LLMArgs quantized_again = fp8_args();
  quantized_again.model = folder_ / "engine";
  EXPECT_EQ(error_of([&] { LLM llm(quantized_again, silent_); }).field(), "quant_config");
}

TEST_F(SaveEngineTest, DummiesAreNotSaved) {
  const Error error =
      error_of([&] { save_engine(dummy_options(), folder_ / "engine", false, silent_); });
  EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
  EXPECT_EQ(error_of([&] { save_engine(pocket_options(), "", false, silent_); }).field(),
            "engine_dir");
}

}  // namespace
}  // namespace octavo
