// Rendering of tuning results.
// SPDX-License-Identifier: Apache-2.0
#include "tune/tune_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/json_object.h"
#include "tune/html.h"
#include "tune/search.h"

namespace octavo {
namespace {

constexpr double kWidth = 720, kHeight = 420, kMargin = 60;

std::string row_text(const TrialRecord& record) {
  const std::string quality =
      record.ppl_increase ? fmt::format("{:+.2f} %", 100 * *record.ppl_increase) : "-";
  if (!record.refused.empty())
    return fmt::format("{:>8} {:>12} {:>9} {:>9} {:>9}  {}  ({})\n", record.requests, "-", "-", "-",
                       quality, command_line(record.settings), record.refused);
  return fmt::format("{:>8} {:>12.1f} {:>9.1f} {:>9.3f} {:>9}  {}\n", record.requests,
                     record.token_throughput, record.ttft_ms, record.itl_ms, quality,
                     command_line(record.settings));
}

// Trials with all requests that ran.
std::vector<const TrialRecord*> full_records(const TuneSummary& summary) {
  std::vector<const TrialRecord*> full;
  for (const TrialRecord& record : summary.records) {
    if (record.requests == summary.requests && record.refused.empty()) full.push_back(&record);
  }
  return full;
}

// Throughput over time to first token; the line joins what no other trial beats in both.
std::string plot_svg(const TuneSummary& summary) {
  const std::vector<const TrialRecord*> records = full_records(summary);
  if (records.empty()) return "<p>No trial ran with all requests.</p>\n";
  std::vector<std::pair<double, double>> points;
  double most_x = 0, most_y = 0;
  for (const TrialRecord* record : records) {
    points.emplace_back(record->ttft_ms, record->token_throughput);
    most_x = std::max(most_x, record->ttft_ms);
    most_y = std::max(most_y, record->token_throughput);
  }
  const auto x = [&](double value) {
    return kMargin + value / std::max(most_x, 1e-9) * (kWidth - 2 * kMargin);
  };
  const auto y = [&](double value) {
    return kHeight - kMargin - value / std::max(most_y, 1e-9) * (kHeight - 2 * kMargin);
  };
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"throughput over time to first "
      "token\">\n"
      "<path d=\"M{} {}V{}H{}\" class=\"axis\"/>\n"
      "<text x=\"{}\" y=\"{}\">TTFT, ms (to {:.1f})</text>\n<text x=\"8\" y=\"30\">tokens/s (to "
      "{:.0f})</text>\n",
      kWidth, kHeight, kMargin, kMargin, kHeight - kMargin, kWidth - kMargin, kWidth / 2,
      kHeight - 20, most_x, most_y);
  std::string line;
  for (const size_t i : pareto_front(points))
    line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? "M" : "L", x(points[i].first),
                        y(points[i].second));
  svg += fmt::format("<path d=\"{}\" class=\"front\"/>\n", line);
  const TrialRecord* best = summary.best ? &summary.records[*summary.best] : nullptr;
  for (size_t i = 0; i < records.size(); ++i) {
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" class=\"{}\"><title>{}</title></circle>\n",
        x(points[i].first), y(points[i].second), records[i] == best ? "best" : "trial",
        html_escaped(row_text(*records[i])));
  }
  return svg + "</svg>\n";
}

std::string table_html(const TuneSummary& summary) {
  const std::vector<std::string> head = {"requests", "tokens/s",   "TTFT ms",
                                         "ITL ms",   "perplexity", "options"};
  std::vector<std::vector<std::string>> rows;
  for (const TrialRecord& record : summary.records) {
    const bool ran = record.refused.empty();
    rows.push_back(
        {fmt::format("{}", record.requests),
         ran ? fmt::format("{:.1f}", record.token_throughput) : "-",
         ran ? fmt::format("{:.1f}", record.ttft_ms) : "-",
         ran ? fmt::format("{:.3f}", record.itl_ms) : "-",
         record.ppl_increase ? fmt::format("{:+.2f} %", 100 * *record.ppl_increase) : "-",
         command_line(record.settings) + (ran ? "" : " (" + record.refused + ")")});
  }
  return html_table(head, rows);
}

}  // namespace

nlohmann::ordered_json to_json(const TrialRecord& record) {
  nlohmann::ordered_json json = {
      {"settings", record.settings}, {"requests", record.requests},
      {"turn", record.turn},         {"token_throughput", record.token_throughput},
      {"ttft_ms", record.ttft_ms},   {"itl_ms", record.itl_ms},
      {"ppl_increase", nullptr},     {"refused", record.refused}};
  if (record.ppl_increase) json["ppl_increase"] = *record.ppl_increase;
  return json;
}

TrialRecord trial_from_json(const nlohmann::json& json, const std::string& file) {
  const JsonObject object(json, file);
  TrialRecord record;
  const JsonObject settings = object.required_object("settings");
  for (const std::string& name : settings.keys())
    record.settings[name] = settings.required_string(name);
  record.requests = object.required_int("requests", {1, int64_t{1} << 40});
  record.turn = object.optional_int("turn", {0, 1 << 10}).value_or(0);
  record.token_throughput = object.required_float("token_throughput", {0.0, 1e12});
  record.ttft_ms = object.required_float("ttft_ms", {0.0, 1e12});
  record.itl_ms = object.required_float("itl_ms", {0.0, 1e12});
  if (!json["ppl_increase"].is_null())
    record.ppl_increase = object.required_float("ppl_increase", {-1.0, 1e12});
  record.refused = object.required_string("refused");
  return record;
}

double score_of(const TrialRecord& record, const std::string& objective) {
  if (objective == "itl") return -record.itl_ms;
  if (objective == "ttft") return -record.ttft_ms;
  return record.token_throughput;
}

std::string to_text(const TuneSummary& summary) {
  std::string text = fmt::format("{:>8} {:>12} {:>9} {:>9} {:>9}  options\n", "requests",
                                 "tokens/s", "TTFT ms", "ITL ms", "ppl");
  for (const TrialRecord& record : summary.records) text += row_text(record);
  text += fmt::format("\n{} trials, worth {:.1f} with all {} requests\n", summary.records.size(),
                      summary.full_trials, summary.requests);
  if (!summary.best) return text + "no candidate\n";
  const Settings& best = summary.records[*summary.best].settings;
  return text + fmt::format("\nbest by {}:\n  {} {}\n  LLM(model, {})\n", summary.objective,
                            summary.base_command, command_line(best), llm_arguments(best));
}

nlohmann::ordered_json to_json(const TuneSummary& summary) {
  nlohmann::ordered_json trials = nlohmann::ordered_json::array();
  for (const TrialRecord& record : summary.records) trials.push_back(to_json(record));
  nlohmann::ordered_json json = {{"objective", summary.objective},
                                 {"requests", summary.requests},
                                 {"full_trials", summary.full_trials},
                                 {"trials", trials},
                                 {"best", nullptr}};
  if (summary.best) {
    const Settings& best = summary.records[*summary.best].settings;
    json["best"] = {{"settings", best},
                    {"command_line", summary.base_command + " " + command_line(best)},
                    {"llm_arguments", llm_arguments(best)}};
  }
  return json;
}

std::string to_html(const TuneSummary& summary) {
  std::string best = "<p>No candidate.</p>\n";
  if (summary.best) {
    best = fmt::format("<p>Best by {}:</p>\n<pre>{} {}</pre>\n", html_escaped(summary.objective),
                       html_escaped(summary.base_command),
                       html_escaped(command_line(summary.records[*summary.best].settings)));
  }
  return html_page(
      "octavo tune",
      fmt::format("<h1>octavo tune</h1>\n{}{}<p>{} trials, worth {:.1f} with all {} requests. The "
                  "line joins trials that no other beats in both throughput and time to first "
                  "token.</p>\n{}",
                  best, plot_svg(summary), summary.records.size(), summary.full_trials,
                  summary.requests, table_html(summary)));
}

}  // namespace octavo
