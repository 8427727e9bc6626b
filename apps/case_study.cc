// octavo case-study.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/case_study.h"

#include <fmt/format.h>

#include "commands.h"
#include "interrupt.h"
#include "options.h"

namespace octavo::app {

std::vector<Command> add_case_study(CLI::App& program) {
  CLI::App& app = *program.add_subcommand(
      "case-study", "Repeat the published FP8 case study on this machine, step by step");
  auto options = std::make_shared<CaseStudyOptions>();
  add_path(app, "output_dir", options->output_dir,
           "case-study.json, .md and .html; rows that are finished there are not run again")
      ->required();
  add_path(app, "quantized_dir", options->quantized_dir,
           "what `octavo quantize --kv_cache_dtype fp8` made of --model_dir");
  add_int(app, "num_requests", options->num_requests, {1}, "requests of the full protocol");
  add_int(app, "input_tokens", options->input_tokens, {1}, "of a request");
  add_int(app, "output_tokens", options->output_tokens, {2}, "of a request");
  add_int(app, "latency_requests", options->latency_requests, {1},
          "prompts for TTFT; three of them run to their end for ITL");
  add_float(app, "window", options->window_s, {0.001, 1e6}, "seconds of the steady protocol");
  add_float(app, "time_budget", options->time_budget_s, {0.0, 1e9},
            "no step begins after so many seconds; 0: all run");
  app.add_option("--steps", options->steps, "names of the steps to run; default: all")
      ->delimiter(',');
  add_model_options(app, options->model);
  add_runtime_options(app, options->runtime);
  app.footer(
      "Example:\n"
      "  octavo case-study --model_dir configs/llama-3.3-70b --load_format dummy --tp_size 4 \\\n"
      "    --output_dir study");
  return {{&app, [options] {
             Interruptible progress(stderr_progress());
             fmt::print("{}", run_case_study(*options, progress));
             return 0;
           }}};
}

}  // namespace octavo::app
