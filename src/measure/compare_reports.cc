// Comparison of reports.
// SPDX-License-Identifier: Apache-2.0
#include "measure/compare_reports.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "io/json_object.h"

namespace octavo {
namespace {

constexpr FloatRange kAny{0.0, 1e15};

// Of an average over requests; from the upper side of the distribution alone, as the lower one of
// times ends at their floor.
double standard_error(const JsonObject& distribution, double requests) {
  constexpr double kDeviationsTo90 = 1.2816;  // from the median of a normal distribution
  const double spread =
      distribution.required_float("p90", kAny) - distribution.required_float("p50", kAny);
  return std::max(0.0, spread) / kDeviationsTo90 / std::sqrt(std::max(1.0, requests));
}

std::optional<JsonObject> times_of(const JsonObject& performance, const char* name) {
  std::optional<JsonObject> times = performance.optional_object(name);
  if (!times || !times->optional_float("avg", kAny)) return std::nullopt;
  return times;
}

MetricChange change_of(const char* metric, double before, double after) {
  return {.metric = metric,
          .before = before,
          .after = after,
          .change = before > 0 ? after / before - 1.0 : 0.0,
          .noise = kRunToRun};
}

void add_differences(const nlohmann::json& before, const nlohmann::json& after,
                     const std::string& path, std::vector<std::string>& found) {
  if (before.is_object() && after.is_object()) {
    for (const auto& [key, value] : before.items())
      add_differences(value, after.value(key, nlohmann::json()), path + "." + key, found);
  } else if (before != after) {
    found.push_back(fmt::format("{}: {}, {}", path.substr(1), before.dump(), after.dump()));
  }
}

}  // namespace

std::vector<MetricChange> compare_reports(const nlohmann::json& before,
                                          const std::string& before_file,
                                          const nlohmann::json& after,
                                          const std::string& after_file) {
  const JsonObject a = JsonObject(before, before_file).required_object("performance");
  const JsonObject b = JsonObject(after, after_file).required_object("performance");
  std::vector<MetricChange> changes;
  for (const char* name : {"token_throughput", "request_throughput"})
    changes.push_back(change_of(name, a.required_float(name, kAny), b.required_float(name, kAny)));
  for (const char* name : {"ttft_ms", "itl_ms", "e2e_latency_ms"}) {
    const auto first = times_of(a, name), second = times_of(b, name);
    if (!first || !second) continue;
    MetricChange change =
        change_of(name, first->required_float("avg", kAny), second->required_float("avg", kAny));
    change.less_is_better = true;
    const double error =
        std::hypot(standard_error(*first, a.required_float("finished_requests", kAny)),
                   standard_error(*second, b.required_float("finished_requests", kAny)));
    if (change.before > 0) change.noise = std::max(kRunToRun, 2 * error / change.before);
    changes.push_back(std::move(change));
  }
  return changes;
}

std::vector<std::string> different_settings(const nlohmann::json& before,
                                            const nlohmann::json& after) {
  std::vector<std::string> found;
  for (const char* part : {"engine", "world", "device", "dataset"})
    add_differences(before.value(part, nlohmann::json()), after.value(part, nlohmann::json()),
                    std::string(".") + part, found);
  const auto protocol = [](const nlohmann::json& report) {
    return report.value("performance", nlohmann::json::object())
        .value("protocol", nlohmann::json());
  };
  add_differences(protocol(before), protocol(after), ".performance.protocol", found);
  return found;
}

std::string comparison_text(const std::vector<MetricChange>& changes,
                            const std::vector<std::string>& settings) {
  std::string text =
      fmt::format("{:<20}{:>14}{:>14}{:>10}{:>10}\n", "", "before", "after", "change", "noise");
  for (const MetricChange& change : changes) {
    const bool better = (change.change < 0) == change.less_is_better;
    text += fmt::format("{:<20}{:>14.4f}{:>14.4f}{:>9.2f}%{:>9.2f}%  {}\n", change.metric,
                        change.before, change.after, 100 * change.change, 100 * change.noise,
                        change.is_noise() ? "noise"
                        : better          ? "better"
                                          : "worse");
  }
  for (const std::string& difference : settings) text += "differs: " + difference + "\n";
  return text;
}

}  // namespace octavo
