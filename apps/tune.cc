// octavo tune.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/tune.h"

#include <fmt/format.h>

#include "commands.h"
#include "interrupt.h"
#include "options.h"

namespace octavo::app {

std::vector<Command> add_tune(CLI::App& program) {
  CLI::App& app = *program.add_subcommand(
      "tune", "Search build and run options for the fastest that keep a quality budget");
  auto options = std::make_shared<TuneOptions>();
  add_path(app, "dataset", options->dataset, "requests: JSON lines of `bench dataset`")->required();
  add_path(app, "grid", options->grid,
           "JSON: {\"max_batch_size\": [8, 64], \"kv_cache_dtype\": [\"auto\", \"fp8\"], ...}")
      ->required();
  add_path(app, "output_dir", options->output_dir,
           "trials.jsonl, tune.json and tune.html; finished trials there are not run again")
      ->required();
  add_int(app, "num_requests", options->num_requests, {0},
          "requests of a full trial; 0: all of the data set");
  add_choice(app, "objective", options->objective, "throughput|itl|ttft", "what to improve");
  add_choice(app, "search", options->search, "halving|grid",
             "halving: all with few requests, the better third with three times as many, ...");
  add_share(app, "max_ppl_increase", options->max_ppl_increase,
            "largest relative increase of perplexity over the reference: 1% or 0.01");
  add_path(app, "quality_dataset", options->quality_dataset, "text that perplexity is taken of");
  add_path(app, "reference", options->reference,
           "16-bit model; default: the model itself with a 16-bit KV cache");
  add_int(app, "quality_tokens", options->quality_tokens, {1}, "tokens of the text");
  add_int(app, "quality_context", options->quality_context, {1}, "tokens of a window");
  add_model_options(app, options->model);
  add_runtime_options(app, options->runtime);
  app.footer(
      "Example:\n"
      "  octavo tune --model_dir llama-fp8 --dataset requests.jsonl --grid grid.json \\\n"
      "    --output_dir tuned --max_ppl_increase 1% --quality_dataset heldout.jsonl");
  return {{&app, [options] {
             Interruptible progress(stderr_progress());
             fmt::print("{}", run_tune(*options, progress));
             return 0;
           }}};
}

}  // namespace octavo::app
