// Options that the CPU benchmarks share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "backend/cpu/cpu_features.h"

namespace octavo {

// --cpu_level NAME: the highest instruction set that kernels may use.
inline void add_cpu_level(CLI::App& app, CpuLevel& level) {
  static const std::map<std::string, CpuLevel> kLevels = [] {
    std::map<std::string, CpuLevel> levels;
    for (const CpuLevel known : {CpuLevel::kScalar, CpuLevel::kAvx2, CpuLevel::kAvx512,
                                 CpuLevel::kAvx512Bf16, CpuLevel::kAmx}) {
      levels.emplace(to_string(known), known);
    }
    return levels;
  }();
  app.add_option_function<std::string>(
         "--cpu_level", [&level](const std::string& name) { level = kLevels.at(name); },
         "the highest instruction set to use (default: the CPU's)")
      ->check(CLI::IsMember(kLevels));
}

}  // namespace octavo
