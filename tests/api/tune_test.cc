// tune on a small real model: finds, keeps, resumes, refuses.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "api/api_support.h"
#include "io/test_support.h"
#include "octavo/bench.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class TuneTest : public testing::Test {
 protected:
  TuneTest() {
    options_.model.model_dir = kPocket;
    options_.model.build_config.max_seq_len = 64;
    options_.dataset = folder_.path() / "requests.jsonl";
    options_.grid = folder_.path() / "grid.json";
    options_.output_dir = folder_.path() / "tuned";
    write_bench_dataset({.distribution = "token-norm-dist",
                         .num_requests = 6,
                         .input_mean = 8,
                         .output_mean = 4,
                         .tokenizer = kPocket,
                         .output = options_.dataset});
    write_grid(R"({"max_batch_size": [1, 4], "kv_cache_dtype": ["auto", "fp8"]})");
  }

  void write_grid(const std::string& text) { std::ofstream(options_.grid) << text; }
  std::string run() {
    SilentProgress silent;
    return run_tune(options_, silent);
  }
  int64_t lines() const {
    std::ifstream stream(options_.output_dir / "trials.jsonl");
    int64_t count = 0;
    for (std::string line; std::getline(stream, line);) ++count;
    return count;
  }

  TemporaryDirectory folder_;
  TuneOptions options_;
};

TEST_F(TuneTest, FindsAWinnerAndResumes) {
  options_.search = "grid";
  const std::string text = run();
  EXPECT_THAT(text, HasSubstr("best by throughput"));
  // The checkpoint has no KV scales.
  EXPECT_THAT(text, HasSubstr("no calibrated K and V scales"));
  EXPECT_EQ(lines(), 4);
  EXPECT_TRUE(std::filesystem::exists(options_.output_dir / "tune.html"));
  EXPECT_TRUE(std::filesystem::exists(options_.output_dir / "tune.json"));
  // What an interruption cut short is forgotten; the rest is not run again.
  std::ofstream(options_.output_dir / "trials.jsonl", std::ios::app) << "{\"settings\": {";
  EXPECT_EQ(run(), text);
  EXPECT_EQ(lines(), 5);
}

TEST_F(TuneTest, TheQualityGateDecides) {
  write_grid(R"({"max_batch_size": [2]})");
  options_.quality_dataset = std::filesystem::path(kPocket) / "calibration.jsonl";
  options_.quality_tokens = 300;
  options_.quality_context = 64;
  options_.max_ppl_increase = 0.0;
  EXPECT_THAT(run(), HasSubstr("+0.00 %"));
  std::filesystem::remove_all(options_.output_dir);
  options_.max_ppl_increase = -0.5;
  EXPECT_THAT(error_of([&] { run(); }).what(), HasSubstr("exceeds -50.00 %"));
}

TEST_F(TuneTest, RefusesWhatCannotBeMeant) {
  const auto refusal = [this](auto change) {
    const TuneOptions before = options_;
    change(options_);
    const Error error = error_of([&] { run(); });
    options_ = before;
    EXPECT_EQ(error.category(), ErrorCategory::kUsage) << error.what();
    return std::string(error.what());
  };
  EXPECT_THAT(refusal([](TuneOptions& o) { o.objective = "price"; }), HasSubstr("--objective"));
  EXPECT_THAT(refusal([](TuneOptions& o) { o.search = "luck"; }), HasSubstr("--search"));
  EXPECT_THAT(refusal([](TuneOptions& o) { o.max_ppl_increase = 0.01; }),
              HasSubstr("--quality_dataset"));
  EXPECT_THAT(refusal([](TuneOptions& o) { o.model.engine_dir = "engine"; }),
              HasSubstr("give --model_dir"));
  EXPECT_THAT(refusal([](TuneOptions& o) { o.output_dir.clear(); }), HasSubstr("--output_dir"));
}

}  // namespace
}  // namespace octavo
