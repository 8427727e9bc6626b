// Tuning records as JSON files.
// SPDX-License-Identifier: Apache-2.0
#include "builder/tuning_records.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "io/atomic_file.h"
#include "io/json.h"
#include "io/json_object.h"

namespace octavo {
namespace {

constexpr std::string_view kProgram = "octavo 0.1.0";  // its kernels are what was measured

std::vector<TuningRecord> records_from(const JsonField& field) {
  std::vector<TuningRecord> records;
  for (const JsonField& entry : field.as_array()) {
    const JsonObject object(entry);
    records.push_back({.kernel = object.required_string("kernel"),
                       .tactic = object.required_string("tactic"),
                       .us = object.required_float("us", {0.0, 1e9})});
  }
  return records;
}

}  // namespace

std::string TuningRecords::file_name(const DeviceProperties& device) {
  std::string name;
  for (const char c : device.name) {
    const bool keeps = std::isalnum(static_cast<unsigned char>(c)) != 0;
    name += keeps ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '-';
  }
  return fmt::format("{}-cuda-{}.json", name, device.runtime_version);
}

TuningRecords::TuningRecords(const DeviceProperties& device,
                             std::span<const std::filesystem::path> directories, bool retune)
    : device_(device) {
  if (directories.empty()) return;
  file_ = directories.front() / file_name(device);
  if (retune) return;
  own_ = read(file_);
  for (const std::filesystem::path& directory : directories.subspan(1))
    shipped_.merge(read(directory / file_name(device)));
}

TuningRecords::Problems TuningRecords::read(const std::filesystem::path& file) const {
  Problems problems;
  std::error_code missing;
  if (!std::filesystem::exists(file, missing)) return problems;
  try {
    const nlohmann::json json = read_json_file(file);
    const JsonObject object(json, file.string());
    if (object.required_string("program") != kProgram ||
        object.required_string("device") != device_.name)
      return problems;
    const JsonObject listed = object.required_object("problems");
    for (const std::string& problem : listed.keys())
      problems[problem] = records_from(listed.required(problem));
  } catch (const Error& error) {
    log_warning("tuning records left out: {}", error.what());
    problems.clear();
  }
  return problems;
}

const std::vector<TuningRecord>* TuningRecords::find(const std::string& problem) const {
  for (const Problems* problems : {&own_, &shipped_}) {
    const auto it = problems->find(problem);
    if (it != problems->end()) return &it->second;
  }
  return nullptr;
}

void TuningRecords::set(const std::string& problem, std::vector<TuningRecord> records) {
  own_[problem] = std::move(records);
  changed_ = true;
}

nlohmann::json TuningRecords::json() const {
  nlohmann::json problems = nlohmann::json::object();
  for (const auto& [problem, records] : own_) {
    for (const TuningRecord& record : records) {
      problems[problem].push_back(
          {{"kernel", record.kernel}, {"tactic", record.tactic}, {"us", record.us}});
    }
  }
  return {{"program", kProgram},
          {"device", device_.name},
          {"runtime_version", device_.runtime_version},
          {"driver_version", device_.driver_version},
          {"problems", problems}};
}

void TuningRecords::save() {
  if (!changed_ || file_.empty()) return;
  try {
    std::filesystem::create_directories(file_.parent_path());
    write_file_atomically(file_, json().dump(1) + "\n");
    changed_ = false;
  } catch (const std::exception& error) {
    log_warning("tuning records not kept: {}", error.what());
  }
}

}  // namespace octavo
