// The subcommands: each adds itself to the program and runs when it was named.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

namespace octavo::app {

// Returns the exit code.
using Action = std::function<int()>;

struct Command {
  CLI::App* parser;
  Action run;
};

std::vector<Command> add_quantize(CLI::App& program);
std::vector<Command> add_build(CLI::App& program);
std::vector<Command> add_generate(CLI::App& program);
std::vector<Command> add_bench(CLI::App& program);
std::vector<Command> add_eval(CLI::App& program);
std::vector<Command> add_tune(CLI::App& program);
std::vector<Command> add_case_study(CLI::App& program);
std::vector<Command> add_inspect(CLI::App& program);
std::vector<Command> add_doctor(CLI::App& program);

}  // namespace octavo::app
