// Reports: the console block and the JSON objects to the letter.
// SPDX-License-Identifier: Apache-2.0
#include "measure/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/test_support.h"

namespace octavo {
namespace {

std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

std::vector<RequestTiming> two_requests() {
  return {{.task_id = 4,
           .input_tokens = 8,
           .output_tokens = 3,
           .submitted_s = 0,
           .first_token_s = 0.5,
           .end_s = 1.5},
          {.task_id = 5,
           .input_tokens = 9,
           .output_tokens = 1,
           .submitted_s = 0,
           .first_token_s = 1.5,
           .end_s = 1.5}};
}

PerformanceReport example() {
  PerformanceReport report{.performance = summarize(collect_samples(two_requests(), 2))};
  report.roofline = roofline({.weight_bytes_per_step = 1e9,
                              .kv_bytes_per_token = 1e6,
                              .context_tokens = 1000,
                              .bandwidth_bytes_per_s = 20e9},
                             report.performance.itl_ms->average);
  return report;
}

TEST(ToConsole, FourRowsThenPercentiles) {
  EXPECT_EQ(to_console(example()),
            R"(Token Throughput (tokens/sec)      2.0000
Request Throughput (req/sec)       1.0000
Average Time To First Token (ms)   1000.0000
Average Inter-Token Latency (ms)   500.0000

Protocol                           full
Total Latency (s)                  2.0000
Finished Requests                  2
Output Tokens                      4
Batch-1 ITL Floor (ms)             100.0000 at 20.0 GB/s
Share of the Roofline (%)          20.0

                    avg        p50        p90        p95        p99        min        max
TTFT (ms)      1000.000   1500.000   1500.000   1500.000   1500.000    500.000   1500.000
ITL (ms)        500.000    500.000    500.000    500.000    500.000    500.000    500.000
E2E (ms)       1500.000   1500.000   1500.000   1500.000   1500.000   1500.000   1500.000
)");
}

TEST(ToConsole, NothingMeasuredIsSaid) {
  const std::string text = to_console({.protocol = LoadProtocol::kSteady});
  EXPECT_THAT(text, testing::HasSubstr("Average Inter-Token Latency (ms)   n/a\n"));
  EXPECT_THAT(text, testing::HasSubstr("Protocol                           steady\n"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("Floor")));
}

TEST(ReportJson, HasTheKeysOfTheInterface) {
  const auto json = report_json({{"name", "e"}}, {{"tp_size", 1}}, {{"type", "cpu"}},
                                {.file = "d.jsonl", .requests = 2}, example());
  EXPECT_THAT(keys_of(json), testing::ElementsAre("engine", "world", "device", "dataset",
                                                  "performance", "roofline"));
  const auto& performance = json["performance"];
  EXPECT_THAT(keys_of(performance),
              testing::IsSupersetOf({"token_throughput", "request_throughput", "total_latency_s",
                                     "ttft_ms", "itl_ms", "e2e_latency_ms"}));
  EXPECT_THAT(keys_of(performance["ttft_ms"]),
              testing::ElementsAre("avg", "p50", "p90", "p95", "p99", "min", "max"));
  EXPECT_EQ(performance["token_throughput"], 2.0);
  EXPECT_EQ(performance["total_latency_s"], 2.0);
  EXPECT_EQ(performance["itl_ms"]["p99"], 500.0);
  EXPECT_EQ(performance["protocol"], "full");
  EXPECT_EQ(json["roofline"]["itl_floor_ms"], 100.0);
  EXPECT_EQ(json["roofline"]["itl_share"], 0.2);
  EXPECT_EQ(json["dataset"]["ignore_eos"], true);
  EXPECT_EQ(json["engine"]["name"], "e");
}

TEST(ReportJson, UnknownValuesAreNullUnderTheSameKeys) {
  const PerformanceReport empty;
  EXPECT_EQ(keys_of(roofline_json(std::nullopt)), keys_of(roofline_json(example().roofline)));
  EXPECT_TRUE(roofline_json(std::nullopt)["itl_floor_ms"].is_null());
  const auto json = performance_json(empty);
  EXPECT_EQ(keys_of(json["itl_ms"]), keys_of(performance_json(example())["itl_ms"]));
  EXPECT_TRUE(json["itl_ms"]["avg"].is_null());
}

TEST(RequestsJson, OneRowARequest) {
  const auto json = requests_json(two_requests());
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0].dump(), R"({"task_id":4,"input_tokens":8,"output_tokens":3,"submitted_s":0.0,)"
                            R"("ttft_ms":500.0,"itl_ms":500.0,"e2e_latency_ms":1500.0})");
  EXPECT_TRUE(json[1]["itl_ms"].is_null());
}

TEST(DescribeDataset, Averages) {
  const Dataset dataset{.requests = {{.input_ids = {1, 2}, .output_tokens = 4},
                                     {.input_ids = {1}, .output_tokens = 1}},
                        .format = "jsonl"};
  const DatasetReport report = describe_dataset(dataset, "a\nb.jsonl", 2);
  EXPECT_EQ(report.file, "a\\x0ab.jsonl");
  EXPECT_EQ(report.requests, 2);
  EXPECT_EQ(report.average_input_tokens, 1.5);
  EXPECT_EQ(report.average_output_tokens, 2.5);
  EXPECT_EQ(to_json(report)["warmup_requests"], 2);
}

TEST(WriteJsonFile, WritesWhatCanBeReadBack) {
  const TemporaryDirectory directory;
  write_json_file(directory / "r.json", {{"a", 1}});
  EXPECT_EQ(read_bytes(directory / "r.json"), "{\n  \"a\": 1\n}\n");
}

}  // namespace
}  // namespace octavo
