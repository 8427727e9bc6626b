// Formatting of reports.
// SPDX-License-Identifier: Apache-2.0
#include "measure/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/atomic_file.h"

namespace octavo {
namespace {

using nlohmann::ordered_json;

// Published tables have four decimals.
std::string number(std::optional<double> value) {
  return value ? fmt::format("{:.4f}", *value) : "n/a";
}

std::optional<double> average(const std::optional<Distribution>& values) {
  return values ? std::optional(values->average) : std::nullopt;
}

std::string percentile_row(std::string_view name, const std::optional<Distribution>& values) {
  if (!values) return fmt::format("{:<12}{:>11}\n", name, "n/a");
  std::string row = fmt::format("{:<12}", name);
  for (const double value : {values->average, values->p50, values->p90, values->p95, values->p99,
                             values->min, values->max}) {
    row += fmt::format("{:>11.3f}", value);
  }
  return row + "\n";
}

ordered_json distribution_json(const std::optional<Distribution>& values) {
  if (!values) {
    return {{"avg", nullptr}, {"p50", nullptr}, {"p90", nullptr}, {"p95", nullptr},
            {"p99", nullptr}, {"min", nullptr}, {"max", nullptr}};
  }
  return {{"avg", values->average}, {"p50", values->p50}, {"p90", values->p90},
          {"p95", values->p95},     {"p99", values->p99}, {"min", values->min},
          {"max", values->max}};
}

ordered_json optional_json(std::optional<double> value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

}  // namespace

DatasetReport describe_dataset(const Dataset& dataset, const std::filesystem::path& file,
                               int64_t warmup_requests) {
  DatasetReport report{.file = printable(file.string(), 512),
                       .format = dataset.format,
                       .dropped = dataset.dropped,
                       .requests = static_cast<int64_t>(dataset.requests.size()),
                       .warmup_requests = warmup_requests};
  double input = 0, output = 0;
  for (const BenchRequest& request : dataset.requests) {
    input += static_cast<double>(request.input_ids.size());
    output += static_cast<double>(request.output_tokens);
  }
  if (report.requests > 0) {
    report.average_input_tokens = input / static_cast<double>(report.requests);
    report.average_output_tokens = output / static_cast<double>(report.requests);
  }
  return report;
}

std::string to_console(const PerformanceReport& report) {
  const Performance& performance = report.performance;
  std::string text;
  const auto row = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<35}{}\n", name, value);
  };
  row("Token Throughput (tokens/sec)", number(performance.token_throughput));
  row("Request Throughput (req/sec)", number(performance.request_throughput));
  row("Average Time To First Token (ms)", number(average(performance.ttft_ms)));
  row("Average Inter-Token Latency (ms)", number(average(performance.itl_ms)));
  text += "\n";
  row("Protocol", std::string(to_string(report.protocol)));
  row("Total Latency (s)", number(performance.total_s));
  row("Finished Requests", fmt::to_string(performance.requests));
  row("Output Tokens", fmt::to_string(performance.output_tokens));
  if (report.roofline) {
    const Roofline& roofline = *report.roofline;
    row("Batch-1 ITL Floor (ms)", fmt::format("{:.4f} at {:.1f} GB/s", roofline.itl_floor_ms,
                                              roofline.input.bandwidth_bytes_per_s / 1e9));
    if (roofline.itl_share) {
      row("Share of the Roofline (%)", fmt::format("{:.1f}", *roofline.itl_share * 100));
    }
  }
  text += fmt::format("\n{:<12}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}\n", "", "avg", "p50",
                      "p90", "p95", "p99", "min", "max");
  text += percentile_row("TTFT (ms)", performance.ttft_ms);
  text += percentile_row("ITL (ms)", performance.itl_ms);
  text += percentile_row("E2E (ms)", performance.e2e_ms);
  return text;
}

ordered_json to_json(const DatasetReport& dataset) {
  return {{"file", dataset.file},
          {"format", dataset.format},
          {"dropped", dataset.dropped},
          {"requests", dataset.requests},
          {"average_input_tokens", dataset.average_input_tokens},
          {"average_output_tokens", dataset.average_output_tokens},
          {"ignore_eos", true},
          {"warmup_requests", dataset.warmup_requests},
          {"warmup_ids", "fresh"}};
}

ordered_json performance_json(const PerformanceReport& report) {
  const Performance& performance = report.performance;
  return {{"protocol", to_string(report.protocol)},
          {"token_throughput", performance.token_throughput},
          {"request_throughput", performance.request_throughput},
          {"total_latency_s", performance.total_s},
          {"ttft_ms", distribution_json(performance.ttft_ms)},
          {"itl_ms", distribution_json(performance.itl_ms)},
          {"e2e_latency_ms", distribution_json(performance.e2e_ms)},
          {"finished_requests", performance.requests},
          {"output_tokens", performance.output_tokens}};
}

ordered_json roofline_json(const std::optional<Roofline>& roofline) {
  const RooflineInput input = roofline ? roofline->input : RooflineInput{};
  const auto known = [&](double value) {
    return optional_json(roofline ? std::optional(value) : std::nullopt);
  };
  return {{"weight_bytes_per_step", known(input.weight_bytes_per_step)},
          {"kv_bytes_per_token", known(input.kv_bytes_per_token)},
          {"context_tokens", known(input.context_tokens)},
          {"bandwidth_bytes_per_s", known(input.bandwidth_bytes_per_s)},
          {"itl_floor_ms", known(roofline ? roofline->itl_floor_ms : 0)},
          {"itl_share", optional_json(roofline ? roofline->itl_share : std::nullopt)}};
}

ordered_json report_json(const ordered_json& engine, const ordered_json& world,
                         const ordered_json& device, const DatasetReport& dataset,
                         const PerformanceReport& report) {
  return {{"engine", engine},
          {"world", world},
          {"device", device},
          {"dataset", to_json(dataset)},
          {"performance", performance_json(report)},
          {"roofline", roofline_json(report.roofline)}};
}

ordered_json requests_json(std::span<const RequestTiming> requests) {
  ordered_json list = ordered_json::array();
  double start_s = std::numeric_limits<double>::infinity();
  for (const RequestTiming& request : requests) start_s = std::min(start_s, request.submitted_s);
  for (const RequestTiming& request : requests) {
    const auto itl_s = request.itl_s();
    list.push_back({{"task_id", request.task_id},
                    {"input_tokens", request.input_tokens},
                    {"output_tokens", request.output_tokens},
                    {"submitted_s", request.submitted_s - start_s},
                    {"ttft_ms", request.ttft_s() * 1e3},
                    {"itl_ms", optional_json(itl_s ? std::optional(*itl_s * 1e3) : std::nullopt)},
                    {"e2e_latency_ms", request.e2e_s() * 1e3}});
  }
  return list;
}

void write_json_file(const std::filesystem::path& path, const ordered_json& document) {
  write_file_atomically(path, document.dump(2) + "\n");
}

}  // namespace octavo
