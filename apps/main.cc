// The program `octavo`: parses the command line, runs one subcommand, turns errors into exit codes.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>
#include <system_error>

#include "commands.h"
#include "interrupt.h"
#include "octavo/error.h"
#include "options.h"

namespace octavo::app {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

CLI::App& innermost(CLI::App& program) {
  CLI::App* app = &program;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return *app;
}

// The option or subcommand that a misspelt word is nearest to.
std::string nearest_name(CLI::App& app, std::string word) {
  word = word.substr(0, word.find('='));
  std::replace(word.begin(), word.end(), '-', '_');
  std::string best;
  size_t best_distance = 1 + word.size() / 2;
  const auto consider = [&](const std::string& name, const std::string& shown) {
    std::string plain = name;
    std::replace(plain.begin(), plain.end(), '-', '_');
    const size_t distance = edit_distance(word, plain);
    if (distance < best_distance) best_distance = distance, best = shown;
  };
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      consider("__" + name, "--" + option->get_lnames().front());
  }
  for (const CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; }))
    consider(sub->get_name(), sub->get_name());
  return best;
}

// A full or closed stderr must not turn an error into an abort, as an exception of fmt's would.
void say(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

int usage_error(const std::string& message) {
  say("error: " + message);
  return exit_code(ErrorCategory::kUsage);
}

int report_extras(CLI::App& program) {
  CLI::App& app = innermost(program);
  const std::vector<std::string> extras = program.remaining(/*recurse=*/true);
  const std::string word = extras.empty() ? "" : extras.front();
  const std::string nearest = nearest_name(app, word);
  return usage_error(fmt::format("unknown argument \"{}\" of `{}`{}", printable(word),
                                 app.get_name(),
                                 nearest.empty() ? "" : "; did you mean " + nearest + "?"));
}

// The last of several values counts; that one was overridden should not go unnoticed.
void warn_of_repeats(CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string>& values = option->results();
    const bool last_counts = option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeLast;
    if (!last_counts ||
        std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end())
      continue;
    say(fmt::format("warning: --{} is given twice; {} counts", option->get_lnames().front(),
                    printable(values.back())));
  }
}

// A misspelt word is told before what is missing because of it.
int report_missing(CLI::App& program, const CLI::ParseError& error) {
  if (!program.remaining(/*recurse=*/true).empty()) return report_extras(program);
  CLI::App& app = innermost(program);
  if (!app.get_subcommands([](CLI::App*) { return true; }).empty()) {
    fmt::print(stderr, "{}", program.help());
    return exit_code(ErrorCategory::kUsage);
  }
  return usage_error(fmt::format("{}; see `octavo {} --help`", error.what(), app.get_name()));
}

// What several processes do together, or may all do; the other commands write what one must.
void check_processes(const std::string& command) {
  for (const char* name : {"generate", "bench", "eval", "inspect", "doctor"}) {
    if (command == name) return;
  }
  expect_one_process("octavo " + command);
}

int run_command(CLI::App& program, const std::vector<Command>& commands) {
  check_processes(program.get_subcommands().front()->get_name());
  for (const Command& command : commands) {
    if (&innermost(program) == command.parser) return command.run();
  }
  return usage_error("expected a command; see `octavo --help`");
}

int run(int argc, char** argv) {
  CLI::App program{"Octavo: calibrates, quantizes, builds and runs large language models in FP8"};
  program.name("octavo");
  program.set_version_flag("--version", "octavo 0.1.0");
  program.formatter(help_formatter());  // commands take over what stands here when they are added
  program.footer(
      "`octavo COMMAND --help` lists a command's options. Options take --name value or "
      "--name=value; dashes\n"
      "may stand for underscores. Results go to stdout, progress and warnings to stderr.\n\n"
      "Exit codes: 0 done, 1 over a stated budget, 2 usage, 3 bad input file, 4 not supported,\n"
      "5 environment, 6 does not fit in memory, 7 device, 70 internal error.");
  std::vector<Command> commands;
  for (const auto add : {add_quantize, add_build, add_generate, add_bench, add_eval, add_tune,
                         add_case_study, add_inspect, add_doctor}) {
    for (Command& command : add(program)) commands.push_back(std::move(command));
  }
  program.require_subcommand(1);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    return report_extras(program);
  } catch (const CLI::RequiredError& error) {
    return report_missing(program, error);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);
    return usage_error(error.what());
  }
  warn_of_repeats(innermost(program));
  return run_command(program, commands);
}

}  // namespace

}  // namespace octavo::app

int main(int argc, char** argv) {
  // Writes to a closed pipe become errors of the write.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  int code = octavo::exit_code(octavo::ErrorCategory::kInternal);
  try {
    code = octavo::app::run(argc, argv);
  } catch (const octavo::Error& error) {
    octavo::app::say(fmt::format("error: {}", error.what()));
    code = octavo::exit_code(error.category());
  } catch (const octavo::app::Interrupted& interrupted) {
    octavo::app::say(fmt::format("error: interrupted by signal {}", interrupted.signal));
    return 128 + interrupted.signal;
  } catch (const std::bad_alloc&) {
    octavo::app::say("error: out of host memory");
    code = octavo::exit_code(octavo::ErrorCategory::kOutOfMemory);
  } catch (const std::system_error& error) {
    // A stream that cannot be written, a thread that cannot be started.
    octavo::app::say(fmt::format("error: {}", error.what()));
    code = octavo::exit_code(octavo::ErrorCategory::kEnvironment);
  } catch (const std::exception& error) {
    octavo::app::say(fmt::format("internal error: {}", error.what()));
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    octavo::app::say("error: standard output cannot be written");
    return octavo::exit_code(octavo::ErrorCategory::kEnvironment);
  }
  return code;
}
