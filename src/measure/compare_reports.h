// Two reports of a measurement side by side, and what of their difference is noise.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace octavo {

struct MetricChange {
  std::string metric;  // "itl_ms"
  double before = 0;
  double after = 0;
  double change = 0;  // fraction of before
  double noise = 0;   // changes up to this fraction are noise
  bool less_is_better = false;

  bool is_noise() const { return change <= noise && change >= -noise; }
};

// Of two objects of --report_json. The noise of a time is twice the standard error of the
// difference of the averages, from the spread of the requests, and never below kRunToRun; one run
// says nothing of the spread of its throughput, so that it has kRunToRun alone. Error(kBadFile)
// names file and field.
std::vector<MetricChange> compare_reports(const nlohmann::json& before,
                                          const std::string& before_file,
                                          const nlohmann::json& after,
                                          const std::string& after_file);

// What the same measurement differs by from one run to the next.
inline constexpr double kRunToRun = 0.02;

// Settings that differ, as "engine.dtype: bfloat16, float32": figures are then of different things.
std::vector<std::string> different_settings(const nlohmann::json& before,
                                            const nlohmann::json& after);

std::string comparison_text(const std::vector<MetricChange>& changes,
                            const std::vector<std::string>& settings);

}  // namespace octavo
