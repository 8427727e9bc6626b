// octavo doctor.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "commands.h"
#include "octavo/inspect.h"
#include "options.h"

namespace octavo::app {

std::vector<Command> add_doctor(CLI::App& program) {
  CLI::App& app = *program.add_subcommand("doctor", "Show what this machine can do");
  auto json = std::make_shared<bool>(false);
  add_flag(app, "json", *json, "print JSON");
  return {{&app, [json] {
             fmt::print("{}", doctor(*json));
             return 0;
           }}};
}

}  // namespace octavo::app
