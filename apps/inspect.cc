// octavo inspect.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/inspect.h"

#include <fmt/format.h>

#include "commands.h"
#include "options.h"

namespace octavo::app {

std::vector<Command> add_inspect(CLI::App& program) {
  CLI::App& app = *program.add_subcommand("inspect", "Show what a checkpoint or an engine holds");
  auto options = std::make_shared<InspectOptions>();
  auto json = std::make_shared<bool>(false);
  app.add_option_function<std::string>(
         "DIR", [options](const std::string& dir) { options->dir = dir; },
         "checkpoint or engine directory")
      ->required();
  add_flag(app, "scales", options->scales, "list every scale of a checkpoint");
  add_flag(app, "kernels", options->kernels, "list the kernel of every call of an engine");
  add_flag(app, "json", *json, "print JSON");
  app.footer("Examples:\n  octavo inspect llama-fp8 --scales\n  octavo inspect engine --kernels");
  return {{&app, [options, json] {
             fmt::print("{}", inspect(*options, *json));
             return 0;
           }}};
}

}  // namespace octavo::app
