// Sampling of a calibration set from the model itself.
// SPDX-License-Identifier: Apache-2.0
#include "api/self_calibration.h"

#include <algorithm>

#include "api/registry.h"
#include "builder/build.h"
#include "core/log.h"
#include "runtime/engine.h"
#include "runtime/runner.h"

namespace octavo {
namespace {

constexpr int64_t kMaxBatch = 64;

void require_memory(const ModelDir& model, const Device& device) {
  const auto available = static_cast<uint64_t>(device.free_memory());
  if (model.weight_bytes <= available / 10 * 8) return;
  throw Error(ErrorCategory::kUsage, fmt::format("the model's {} bytes do not fit in the {} "
                                                 "available to let it sample its own calibration "
                                                 "set: give a file as --calib_dataset",
                                                 model.weight_bytes, available));
}

}  // namespace

CalibrationSet sample_calibration_set(const ModelDir& model, const SelfCalibrationOptions& options,
                                      Device& device, Progress& progress) {
  if (model.config.bos_token_id < 0) {
    throw Error(ErrorCategory::kUsage,
                "the model has no bos_token_id to sample from: give a file as --calib_dataset");
  }
  require_memory(model, device);
  log_info("no --calib_dataset: the model samples its own set of {} texts", options.size);
  BuildConfig config;
  config.max_batch_size = std::min(kMaxBatch, options.size);
  config.max_seq_len = std::max<int64_t>(options.max_length, 2);
  config.max_num_tokens = 1024;
  config.device = std::string(to_string(device.type()));
  auto image =
      std::make_shared<EngineImage>(build_image(model, config, kernel_registry(), &device));
  Runner runner(image, kernel_registry(), device, {});
  Engine engine({.scheduler = {.max_batch_size = static_cast<int32_t>(runner.max_batch_size()),
                               .max_num_tokens = static_cast<int32_t>(runner.max_num_tokens()),
                               .max_seq_len = static_cast<int32_t>(*config.max_seq_len),
                               .tokens_per_block = static_cast<int32_t>(config.tokens_per_block),
                               .num_blocks = static_cast<int32_t>(runner.num_blocks()),
                               .enable_block_reuse = false},
                 .vocab_size = model.config.vocab_size,
                 .eos_token_ids = model.config.eos_token_ids},
                runner);
  CalibrationSet set{
      .samples = std::vector<std::vector<int32_t>>(static_cast<size_t>(options.size)),
      .source = "self-sampled"};
  int64_t done = 0;
  for (int64_t i = 0; i < options.size; ++i) {
    Request request{.prompt_token_ids = {model.config.bos_token_id}};
    request.sampling.max_tokens = std::max<int64_t>(options.max_length - 1, 1);
    request.sampling.temperature = 1.0f;
    request.sampling.seed = options.seed + static_cast<uint64_t>(i);
    request.on_finish = [&, i](RequestOutput output) {
      std::vector<int32_t>& sample = set.samples[static_cast<size_t>(i)];
      sample = output.prompt_token_ids;
      sample.insert(sample.end(), output.token_ids.begin(), output.token_ids.end());
      progress.update(++done, options.size, "sampling calibration texts");
    };
    engine.submit(std::move(request));
  }
  engine.run_until_idle();
  progress.finish();
  set.hash = hash_of(set.samples);
  return set;
}

}  // namespace octavo
