// TuningRecords: what kernels took on a device, kept in a file so that it is measured once.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/device.h"

namespace octavo {

struct TuningRecord {
  std::string kernel;
  std::string tactic;  // empty: the kernel's own choice
  double us = 0;       // of one call, weights cold; 0: it cannot run the problem after all
};

class TuningRecords {
 public:
  // Records of one kind of device and one version of this program and its CUDA runtime, each in a
  // file of its own in every directory: the first that has a problem counts. A file that cannot be
  // used is left out with a warning. Nothing is read where `retune` asks for new measurements.
  TuningRecords(const DeviceProperties& device, std::span<const std::filesystem::path> directories,
                bool retune = false);

  // Fastest first; null where the problem was not measured.
  const std::vector<TuningRecord>* find(const std::string& problem) const;
  void set(const std::string& problem, std::vector<TuningRecord> records);

  // Writes what was set, with what was read from the first directory, back to it. Does nothing
  // where nothing was set; a directory that cannot be written is a warning: the engine is whole
  // without.
  void save();

  static std::string file_name(const DeviceProperties& device);

 private:
  using Problems = std::map<std::string, std::vector<TuningRecord>>;

  Problems read(const std::filesystem::path& file) const;
  nlohmann::json json() const;

  DeviceProperties device_;
  std::filesystem::path file_;  // empty: kept in memory alone
  Problems own_, shipped_;
  bool changed_ = false;
};

}  // namespace octavo
