// bench: datasets and short runs.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/api_support.h"
#include "io/json.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using testing::HasSubstr;

class BenchTest : public testing::Test {
 protected:
  BenchTest() {
    write_bench_dataset({.distribution = "token-norm-dist",
                         .num_requests = 4,
                         .input_mean = 12,
                         .output_mean = 5,
                         .tokenizer = kPocket,
                         .output = folder_ / "set.jsonl"});
  }

  BenchOptions options() const {
    return {.model = dummy_options(),
            .runtime = small_runtime(),
            .dataset = folder_ / "set.jsonl",
            .warmup = 1,
            .report_json = folder_ / "report.json",
            .request_json = folder_ / "requests.json"};
  }

  TemporaryDirectory folder_;
  SilentProgress silent_;
};

TEST_F(BenchTest, DatasetsAreDrawnBySeed) {
  const std::string first = read_bytes(folder_ / "set.jsonl");
  EXPECT_EQ(std::ranges::count(first, '\n'), 4);
  DatasetSpec spec{.distribution = "token-unif-dist",
                   .num_requests = 3,
                   .input_min = 2,
                   .input_max = 4,
                   .output_min = 1,
                   .output_max = 1,
                   .tokenizer = kPocket,
                   .output = folder_ / "uniform.jsonl"};
  write_bench_dataset(spec);
  const std::string uniform = read_bytes(folder_ / "uniform.jsonl");
  write_bench_dataset(spec);
  EXPECT_EQ(read_bytes(folder_ / "uniform.jsonl"), uniform);
  spec.distribution = "zipf";
  EXPECT_EQ(error_of([&] { write_bench_dataset(spec); }).category(), ErrorCategory::kUsage);
}

TEST_F(BenchTest, ThroughputReportsTheFourRows) {
  const std::string text = run_bench(options(), silent_);
  for (const char* row : {"Token Throughput (tokens/sec)", "Request Throughput (req/sec)",
                          "Average Time To First Token (ms)", "Average Inter-Token Latency (ms)"}) {
    EXPECT_THAT(text, HasSubstr(row));
  }
  const nlohmann::json report = read_json_file(folder_ / "report.json");
  for (const char* part : {"engine", "world", "device", "dataset", "performance"})
    EXPECT_TRUE(report.contains(part)) << part;
  EXPECT_EQ(report["engine"]["load_format"], "dummy");
  EXPECT_EQ(report["world"]["warmup_requests"], 1);
  EXPECT_GT(report["performance"]["token_throughput"], 0.0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "requests.json"));
}

TEST_F(BenchTest, LatencyRunsOneRequestAtATime) {
  BenchOptions latency = options();
  latency.latency = true;
  latency.num_requests = 2;
  run_bench(latency, silent_);
  EXPECT_EQ(read_json_file(folder_ / "report.json")["world"]["max_batch_size"], 1);
}

TEST_F(BenchTest, RefusesWhatMakesNoSense) {
  BenchOptions bad = options();
  bad.num_requests = -1;
  EXPECT_EQ(error_of([&] { run_bench(bad, silent_); }).category(), ErrorCategory::kUsage);
  bad = options();
  bad.protocol = "sideways";
  EXPECT_THAT(error_of([&] { run_bench(bad, silent_); }).what(),
              HasSubstr("--protocol: expected full|steady"));
}

}  // namespace
}  // namespace octavo
