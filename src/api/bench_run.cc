// Loading, warming up and running of requests.
// SPDX-License-Identifier: Apache-2.0
#include "api/bench_run.h"

#include "measure/dataset.h"
#include "measure/engine_target.h"
#include "measure/synthetic.h"

namespace octavo {

void check(const BenchOptions& options) {
  if (options.num_requests < 0)
    throw Error(ErrorCategory::kUsage, "--num_requests: expected 0 or more");
  if (options.warmup < 0) throw Error(ErrorCategory::kUsage, "--warmup: expected 0 or more");
}

LoadOptions load_options(const BenchOptions& options, int64_t max_batch_size) {
  LoadOptions load{.concurrency = options.concurrency,
                   .request_rate = options.request_rate,
                   .window_s = options.window_s,
                   .seed = options.seed};
  if (options.latency) {
    load.protocol = LoadProtocol::kLatency;
  } else if (options.protocol == "steady") {
    load.protocol = LoadProtocol::kSteady;
    if (load.concurrency == 0) load.concurrency = max_batch_size;
  } else if (options.protocol != "full") {
    throw Error(ErrorCategory::kUsage, fmt::format("--protocol: expected full|steady, got \"{}\"",
                                                   printable(options.protocol)));
  }
  check_load_options(load);
  return load;
}

Dataset load_dataset(const BenchOptions& options, const LoadedModel& model) {
  DatasetOptions dataset{.num_requests = options.num_requests,
                         .vocab_size = static_cast<int32_t>(model.image->config.vocab_size),
                         .seed = options.seed};
  if (model.tokenizer) {
    dataset.tokenize = [&model](std::string_view text) { return model.tokenizer->encode(text); };
  }
  return read_dataset(options.dataset, dataset);
}

namespace {

void warm_up(Session& session, EngineTarget& target, const Dataset& dataset, int64_t count) {
  if (count == 0) return;
  const auto requests =
      fresh_requests(dataset.requests, count, static_cast<int32_t>(session.config().vocab_size),
                     /*seed=*/0x77A12);
  SilentProgress silent;
  run_load(target, steady_load_clock(), requests, {}, silent);
}

}  // namespace

LoadResult run_requests(const BenchOptions& options, const LoadOptions& load, Session& session,
                        const Dataset& dataset, Progress& progress) {
  EngineTarget target(session.engine());
  warm_up(session, target, dataset, options.warmup);
  LoadResult result = run_load(target, steady_load_clock(), dataset.requests, load, progress);
  progress.finish();
  return result;
}

}  // namespace octavo
