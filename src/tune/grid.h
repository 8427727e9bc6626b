// Grid: the values that a search may choose, and all their combinations.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "octavo/llm.h"

namespace octavo {

// One combination: flag → value as text ("64", "fp8", "enable").
using Settings = std::map<std::string, std::string>;

// Flags that a grid may name, in alphabetical order.
std::vector<std::string> tunable_flags();

// Reads {"flag": [values], …}. Throws Error(kBadFile) for flags that do not exist (with the nearest
// name), values of the wrong type, empty lists, and more than 4096 combinations.
std::vector<Settings> read_grid(const std::filesystem::path& file);

// Sets the flags of a combination.
void apply_settings(const Settings& settings, ModelOptions& model, RuntimeOptions& runtime);

// "--flag value …" in alphabetical order, and the arguments of LLM(…) in Python.
std::string command_line(const Settings& settings);
std::string llm_arguments(const Settings& settings);

}  // namespace octavo
