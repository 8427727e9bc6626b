// octavo build.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/build.h"

#include <fmt/format.h>

#include <cstdio>

#include "commands.h"
#include "interrupt.h"
#include "options.h"

namespace octavo::app {

std::vector<Command> add_build(CLI::App& program) {
  CLI::App& app = *program.add_subcommand(
      "build", "Make an engine directory from a quantized or 16-bit checkpoint");
  auto options = std::make_shared<BuildOptions>();
  add_path(app, "checkpoint_dir", options->checkpoint_dir,
           "folder that `octavo quantize` wrote, or any checkpoint")
      ->required();
  add_path(app, "output_dir", options->output_dir, "engine directory to write")->required();
  add_int(app, "workers", options->workers, {1, 64}, "rank files written at once");
  add_flag(app, "retune", options->retune, "measure kernels again rather than use records");
  add_flag(app, "dry_run", options->dry_run, "check and plan; write nothing");
  add_flag(app, "overwrite", options->overwrite,
           "replace the output folder if an earlier run wrote it");
  add_build_options(app, options->config);
  app.footer(
      "Example:\n"
      "  octavo build --checkpoint_dir llama-fp8 --output_dir engine --max_seq_len 4096 "
      "--max_batch_size 64");
  return {{&app, [options] {
             Interruptible progress(stderr_progress());
             const BuildReport report = build(*options, progress);
             for (const std::string& notice : report.notices)
               std::fputs(("notice: " + notice + "\n").c_str(), stderr);
             fmt::print(
                 "{}{}: {:.1f} MB of weights, {} bytes of KV cache a token, {} calls a layer, "
                 "{:.1f} s\n",
                 options->dry_run ? "(dry run) " : "", options->output_dir.string(),
                 static_cast<double>(report.weight_bytes) / 1e6, report.kv_bytes_per_token,
                 report.calls_a_layer, report.seconds);
             return 0;
           }}};
}

}  // namespace octavo::app
