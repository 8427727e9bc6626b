// build.
// SPDX-License-Identifier: Apache-2.0
#include "octavo/build.h"

#include <algorithm>
#include <chrono>

#include "api/devices.h"
#include "api/registry.h"
#include "api/tuning.h"
#include "builder/engine_writer.h"
#include "core/error.h"

namespace octavo {

BuildReport build(const BuildOptions& options, Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  const ModelDir model = open_model_dir(options.checkpoint_dir);
  BuildConfig config = options.config;
  config.device = resolve_device(config.device);
  ThreadPool pool;
  const std::shared_ptr<Device> device = open_device(config.device, pool);
  TuningRecords records = open_tuning_records(device->properties(), options.retune);
  const std::unique_ptr<GroupTimer> group = open_group_timer(config, pool);
  const std::vector<Blueprint> ranks = make_blueprints(
      model, config, kernel_registry(), device.get(), {.records = &records, .group = group.get()});
  const Blueprint& blueprint = ranks.front();
  const std::vector<Call>& calls = blueprint.plans.front().program.calls;
  uint64_t weight_bytes = 0;
  for (const Blueprint& rank : ranks) weight_bytes += static_cast<uint64_t>(rank.weight_bytes());
  BuildReport report{.weight_bytes = weight_bytes,
                     .kv_bytes_per_token = blueprint.config.kv_bytes_per_token(),
                     .calls_a_layer = std::count_if(calls.begin(), calls.end(),
                                                    [](const Call& c) { return c.layer == 0; }),
                     .notices = blueprint.notices};
  if (options.workers > 1)
    report.notices.push_back("--workers has no effect: rank files are written one after another");
  if (options.retune && config.device == "cpu") {
    report.notices.push_back(
        "--retune has no effect on the CPU: its kernels are ranked, not measured");
  }
  if (!options.dry_run) {
    const nlohmann::json provenance = {
        {"program", "octavo 0.1.0"},
        {"checkpoint", printable(options.checkpoint_dir.filename().string())},
        {"checkpoint_bytes", model.weight_bytes}};
    write_engine(model, ranks, options.output_dir,
                 {.overwrite = options.overwrite,
                  .provenance = provenance,
                  .progress = [&](int64_t done, int64_t total) {
                    progress.update(done, total, "writing weights");
                  }});
    progress.finish();
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace octavo
