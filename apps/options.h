// Options of the command line: both spellings, strict numbers, enable|disable.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octavo/error.h"
#include "octavo/llm.h"

namespace octavo::app {

// Names are given with underscores ("max_batch_size") and accepted with dashes too.
std::string spellings(const std::string& name);
// Help that lists each option by its first name alone.
std::shared_ptr<CLI::FormatterBase> help_formatter();

CLI::Option* add_text(CLI::App& app, const std::string& name, std::string& value,
                      const std::string& help);
// The help lists the choices; the library checks them.
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& value,
                        const std::string& choices, const std::string& help);
CLI::Option* add_path(CLI::App& app, const std::string& name, std::filesystem::path& value,
                      const std::string& help);
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& value,
                      const std::string& help);
// Takes two numbers.
CLI::Option* add_range(CLI::App& app, const std::string& name,
                       std::optional<std::pair<float, float>>& value, const std::string& help);
CLI::Option* add_flag(CLI::App& app, const std::string& name, bool& value, const std::string& help);
// Takes enable or disable.
CLI::Option* add_switch(CLI::App& app, const std::string& name, bool& value,
                        const std::string& help);

// The whole word must be a decimal number in the range.
struct IntLimits {
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
};
CLI::Option* add_int(CLI::App& app, const std::string& name, int64_t& value, IntLimits limits,
                     const std::string& help);
CLI::Option* add_int(CLI::App& app, const std::string& name, std::optional<int64_t>& value,
                     IntLimits limits, const std::string& help);

struct FloatLimits {
  double min = 0.0;
  double max = std::numeric_limits<double>::max();
};
CLI::Option* add_float(CLI::App& app, const std::string& name, double& value, FloatLimits limits,
                       const std::string& help);
CLI::Option* add_float(CLI::App& app, const std::string& name, std::optional<double>& value,
                       FloatLimits limits, const std::string& help);
// --threads.
void add_threads(CLI::App& app, int& threads);

// --seed: an unsigned 64-bit number.
void add_seed(CLI::App& app, uint64_t& seed, const std::string& name = "seed");

// "1%" or "0.01".
CLI::Option* add_share(CLI::App& app, const std::string& name, std::optional<double>& value,
                       const std::string& help);

// Strict readers of one word.
std::optional<int64_t> parse_int(const std::string& word);
std::optional<double> parse_float(const std::string& word);

// --max_batch_size … --tokens_per_block, --dtype, --kv_cache_dtype, --device and the plugin flags.
void add_build_options(CLI::App& app, BuildConfig& config);
// --engine_dir, --model_dir and what a command that runs a model takes.
void add_model_options(CLI::App& app, ModelOptions& options);
// On stderr; nothing in a process that follows another one.
std::unique_ptr<Progress> progress_of(const ModelOptions& model);
void add_runtime_options(CLI::App& app, RuntimeOptions& options);

}  // namespace octavo::app
