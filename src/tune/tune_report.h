// The result of a tuning run: table, JSON, and one offline HTML page with a plot.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tune/grid.h"

namespace octavo {

// A finished trial as trials.jsonl keeps it.
struct TrialRecord {
  Settings settings;
  int64_t requests = 0;
  int64_t turn = 0;  // of those with the same settings and requests
  double token_throughput = 0.0;
  double ttft_ms = 0.0;
  double itl_ms = 0.0;
  std::optional<double> ppl_increase;  // where quality was asked for
  std::string refused;                 // why it is no candidate; empty: it is one
};

nlohmann::ordered_json to_json(const TrialRecord& record);
// Throws Error(kBadFile) naming the file.
TrialRecord trial_from_json(const nlohmann::json& json, const std::string& file);

struct TuneSummary {
  std::string objective;
  int64_t requests = 0;  // of a full trial
  double full_trials = 0.0;
  std::vector<TrialRecord> records;
  std::optional<size_t> best;  // of records
  std::string base_command;    // "octavo bench throughput --model_dir …"
};

// Larger is better, for any objective.
double score_of(const TrialRecord& record, const std::string& objective);

std::string to_text(const TuneSummary& summary);
nlohmann::ordered_json to_json(const TuneSummary& summary);
std::string to_html(const TuneSummary& summary);

}  // namespace octavo
