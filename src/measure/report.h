// Reports of a measurement: the console block and the JSON files.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>

#include "measure/load.h"
#include "measure/metrics.h"

namespace octavo {

struct PerformanceReport {
  LoadProtocol protocol = LoadProtocol::kFull;
  Performance performance;
  std::optional<Roofline> roofline;
};

// What the "dataset" of a report says; how requests were run belongs to it.
struct DatasetReport {
  std::string file;
  std::string format;  // as of Dataset
  int64_t dropped = 0;
  int64_t requests = 0;
  double average_input_tokens = 0;
  double average_output_tokens = 0;
  int64_t warmup_requests = 0;  // with ids of their own
};

DatasetReport describe_dataset(const Dataset& dataset, const std::filesystem::path& file,
                               int64_t warmup_requests);

// The four rows by their published names, then percentiles and the share of the roofline.
std::string to_console(const PerformanceReport& report);

// Values that could not be measured are null; keys are always the same.
nlohmann::ordered_json to_json(const DatasetReport& dataset);
nlohmann::ordered_json performance_json(const PerformanceReport& report);
nlohmann::ordered_json roofline_json(const std::optional<Roofline>& roofline);

// The object of --report_json; what describes engine, world and device comes from the caller.
nlohmann::ordered_json report_json(const nlohmann::ordered_json& engine,
                                   const nlohmann::ordered_json& world,
                                   const nlohmann::ordered_json& device,
                                   const DatasetReport& dataset, const PerformanceReport& report);

// The list of --request_json, in order of completion; times count from the first submission.
nlohmann::ordered_json requests_json(std::span<const RequestTiming> requests);

// Indented, with a newline at the end; replaces the file as a whole.
void write_json_file(const std::filesystem::path& path, const nlohmann::ordered_json& document);

}  // namespace octavo
