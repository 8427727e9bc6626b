// Steps and tables of the case study.
// SPDX-License-Identifier: Apache-2.0
#include "tune/case_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/json_object.h"
#include "tune/html.h"

namespace octavo {
namespace {

using Cells = std::vector<std::string>;

struct Table {
  std::string title;
  Cells head;
  std::vector<Cells> rows;
};

constexpr const char* kSixteenBit = "bf16";
constexpr const char* kBaseline = "fp8";
constexpr const char* kTuned = "fp8-tuned";

struct Metric {
  const char* title;
  double FourMetrics::*value;
  int digits;
  bool less_is_better;
};
constexpr Metric kMetrics[] = {
    {"Token Throughput (tokens/sec)", &FourMetrics::token_throughput, 1, false},
    {"Request Throughput (req/sec)", &FourMetrics::request_throughput, 4, false},
    {"Average Time To First Token (ms)", &FourMetrics::ttft_ms, 2, true},
    {"Average Inter-Token Latency (ms)", &FourMetrics::itl_ms, 3, true}};

const CaseStudyStep* step_named(std::string_view name) {
  for (const CaseStudyStep& step : case_study_steps()) {
    if (step.name == name) return &step;
  }
  return nullptr;
}

std::string number(const FourMetrics& metrics, const Metric& metric) {
  return fmt::format("{:.{}f}", metrics.*metric.value, metric.digits);
}

Table steps_table(std::span<const CaseStudyRow> rows) {
  Table table{.title = "Steps",
              .head = {"step", "tokens/s", "requests/s", "TTFT ms", "ITL ms", "ITL floor ms",
                       "protocol", "published tokens/s", "TTFT", "ITL", "flags"}};
  for (const CaseStudyRow& row : rows) {
    const CaseStudyStep* step = step_named(row.step);
    Cells cells = {step == nullptr ? row.step : step->title};
    for (const Metric& metric : kMetrics)
      cells.push_back(row.refused.empty() ? number(row.measured, metric) : "-");
    cells.push_back(row.itl_floor_ms > 0 ? fmt::format("{:.3f}", row.itl_floor_ms) : "-");
    cells.push_back(row.refused.empty() ? row.protocol : row.refused);
    const bool known = step != nullptr && step->published;
    for (const Metric& metric : {kMetrics[0], kMetrics[2], kMetrics[3]})
      cells.push_back(known ? number(*step->published, metric) : "-");
    cells.push_back(row.command_line);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

const CaseStudyRow* measured_row(std::span<const CaseStudyRow> rows, std::string_view step) {
  for (const CaseStudyRow& row : rows) {
    if (row.step == step && row.refused.empty()) return &row;
  }
  return nullptr;
}

// As the guide counts: (after − before) / before of throughputs, (before − after) / before of
// times.
std::string improvement(const FourMetrics& before, const FourMetrics& after, const Metric& metric) {
  const double change = after.*metric.value / before.*metric.value - 1.0;
  return fmt::format("{:+.1f} %", 100 * (metric.less_is_better ? -change : change));
}

std::optional<Table> gain_table(std::span<const CaseStudyRow> rows, const char* from) {
  const CaseStudyRow* before = measured_row(rows, from);
  const CaseStudyRow* after = measured_row(rows, kTuned);
  if (before == nullptr || after == nullptr) return std::nullopt;
  const CaseStudyStep *first = step_named(from), *last = step_named(kTuned);
  Table table{.title = fmt::format("{} against {}", last->title, first->title),
              .head = {"metric", first->title, last->title, "improvement", "published"}};
  for (const Metric& metric : kMetrics) {
    table.rows.push_back({metric.title, number(before->measured, metric),
                          number(after->measured, metric),
                          improvement(before->measured, after->measured, metric),
                          improvement(*first->published, *last->published, metric)});
  }
  return table;
}

std::vector<Table> tables(std::span<const CaseStudyRow> rows) {
  std::vector<Table> all = {steps_table(rows)};
  for (const char* from : {kSixteenBit, kBaseline}) {
    if (std::optional<Table> gains = gain_table(rows, from)) all.push_back(std::move(*gains));
  }
  return all;
}

constexpr const char* kPublished =
    "Published: Llama-3.3-70B over four H100s, 2048 tokens in and out; its first row is 16-bit "
    "floating point of the other kind (fp16).";

}  // namespace

std::span<const CaseStudyStep> case_study_steps() {
  const Settings kv = {{"kv_cache_dtype", "fp8"}};
  const auto with = [](Settings settings, const Settings& more) {
    for (const auto& [flag, value] : more) settings[flag] = value;
    return settings;
  };
  const Settings reduced = with(kv, {{"reduce_fusion", "enable"}, {"user_buffer", "enable"}});
  const Settings swiglu = with(reduced, {{"gemm_swiglu_plugin", "fp8"}});
  const Settings tuned = with(swiglu, {{"low_latency_gemm_plugin", "fp8"}});
  static const std::vector<CaseStudyStep> steps = {
      {kSixteenBit,
       "16 bit (bf16)",
       "full_prec",
       {},
       false,
       false,
       FourMetrics{2474.2581, 1.2081, 147.5742, 14.6852}},
      {kBaseline,
       "FP8 baseline",
       "fp8",
       {{"kv_cache_dtype", "bfloat16"}},
       false,
       false,
       FourMetrics{3389.5305, 1.6550, 96.1597, 12.4248}},
      {"fp8-kv", "+ FP8 KV cache", "fp8", kv, false, false,
       FourMetrics{5299.6372, 2.5877, 97.1287, 12.5496}},
      {"fp8-reduce", "+ reduce fusion + user buffers", "fp8", reduced, false, true,
       FourMetrics{5980.7842, 2.9203, 82.2679, 12.6975}},
      {"fp8-swiglu", "+ GEMM + SwiGLU fusion", "fp8", swiglu, false, false,
       FourMetrics{5976.7977, 2.9184, 81.8841, 11.7031}},
      {"fp8-low-latency", "low-latency GEMM without SwiGLU fusion", "fp8",
       with(reduced, {{"low_latency_gemm_plugin", "fp8"}}), false, false, std::nullopt},
      {kTuned, "+ low-latency GEMM (tuned FP8)", "fp8", tuned, false, false,
       FourMetrics{6049.1625, 2.9537, 88.0162, 10.8225}},
      {"fp8-tuned-full", "tuned FP8, all requests at once", "fp8", tuned, true, false,
       std::nullopt}};
  return steps;
}

nlohmann::ordered_json to_json(const CaseStudyRow& row) {
  return {{"step", row.step},
          {"command_line", row.command_line},
          {"protocol", row.protocol},
          {"date", row.date},
          {"device", row.device},
          {"token_throughput", row.measured.token_throughput},
          {"request_throughput", row.measured.request_throughput},
          {"ttft_ms", row.measured.ttft_ms},
          {"itl_ms", row.measured.itl_ms},
          {"itl_floor_ms", row.itl_floor_ms},
          {"refused", row.refused}};
}

CaseStudyRow case_study_row_from(const nlohmann::json& json, const std::string& file) {
  const JsonObject object(json, file);
  constexpr FloatRange kAny{0.0, 1e12};
  return {.step = object.required_string("step"),
          .command_line = object.required_string("command_line"),
          .protocol = object.required_string("protocol"),
          .date = object.required_string("date"),
          .device = object.required_string("device"),
          .measured = {.token_throughput = object.required_float("token_throughput", kAny),
                       .request_throughput = object.required_float("request_throughput", kAny),
                       .ttft_ms = object.required_float("ttft_ms", kAny),
                       .itl_ms = object.required_float("itl_ms", kAny)},
          .itl_floor_ms = object.required_float("itl_floor_ms", kAny),
          .refused = object.required_string("refused")};
}

std::string case_study_markdown(std::span<const CaseStudyRow> rows) {
  std::string text;
  for (const Table& table : tables(rows)) {
    const auto line = [&text](const Cells& cells) {
      for (const std::string& cell : cells) text += "| " + cell + " ";
      text += "|\n";
    };
    text += "## " + table.title + "\n\n";
    line(table.head);
    line(Cells(table.head.size(), "---"));
    for (const Cells& row : table.rows) line(row);
    text += "\n";
  }
  return text + kPublished + "\n";
}

std::string case_study_html(std::span<const CaseStudyRow> rows) {
  std::string body = "<h1>octavo case-study</h1>\n";
  for (const Table& table : tables(rows))
    body += "<h2>" + html_escaped(table.title) + "</h2>\n" + html_table(table.head, table.rows);
  return html_page("octavo case-study", body + "<p>" + kPublished + "</p>\n");
}

}  // namespace octavo
