// The published FP8 case study: its steps, their published figures, and the tables of a repetition.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tune/grid.h"

namespace octavo {

struct FourMetrics {
  double token_throughput = 0;    // tokens/s
  double request_throughput = 0;  // requests/s
  double ttft_ms = 0;
  double itl_ms = 0;
};

struct CaseStudyStep {
  std::string name;   // "fp8-kv"
  std::string title;  // as a table shows it
  std::string qformat;
  Settings settings;                     // flags beyond those of every step
  bool full = false;                     // throughput by the full protocol, else steady
  bool several_ranks = false;            // means nothing on one
  std::optional<FourMetrics> published;  // Llama-3.3-70B, TP 4, four H100s
};

std::span<const CaseStudyStep> case_study_steps();

struct CaseStudyRow {
  std::string step;          // name
  std::string command_line;  // all flags of the row
  std::string protocol;      // of its throughput
  std::string date;          // of its measurement, YYYY-MM-DD
  std::string device;
  FourMetrics measured;
  double itl_floor_ms = 0;  // weights and cache once at the memory's bandwidth; 0: not known
  std::string refused;      // why there are no figures; empty: there are
};

nlohmann::ordered_json to_json(const CaseStudyRow& row);
// Throws Error(kBadFile) naming the file.
CaseStudyRow case_study_row_from(const nlohmann::json& json, const std::string& file);

// The rows beside the published ones, then what the tuned engine gains over the 16-bit one and over
// the FP8 baseline, here and as published.
std::string case_study_markdown(std::span<const CaseStudyRow> rows);
std::string case_study_html(std::span<const CaseStudyRow> rows);

}  // namespace octavo
