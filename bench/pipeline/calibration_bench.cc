// Calibration of a model's shapes with dummy 16-bit weights, layer by layer: time and memory.
// SPDX-License-Identifier: Apache-2.0
//
// calibration_bench MODEL_DIR [samples] [tokens] [device] [max_memory bytes]: random ids; nothing
// is written. Prints one JSON object.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "api/devices.h"
#include "api/registry.h"
#include "model/model_dir.h"
#include "quant/calibrator.h"

namespace octavo {
namespace {

std::vector<std::vector<int32_t>> random_samples(int64_t samples, int64_t tokens,
                                                 int64_t vocab_size) {
  std::mt19937 engine(1234);
  std::uniform_int_distribution<int32_t> id(0, static_cast<int32_t>(vocab_size) - 1);
  std::vector<std::vector<int32_t>> all(static_cast<size_t>(samples));
  for (std::vector<int32_t>& sample : all) {
    for (int64_t i = 0; i < tokens; ++i) sample.push_back(id(engine));
  }
  return all;
}

void run(int argc, char** argv) {
  const auto argument = [&](int i, const char* fallback) {
    return std::string(argc > i ? argv[i] : fallback);
  };
  const int64_t samples = std::stoll(argument(2, "32")), tokens = std::stoll(argument(3, "512"));
  ThreadPool pool;
  const std::shared_ptr<Device> device = open_device(resolve_device(argument(4, "auto")), pool);
  const ModelDir model = open_model_dir(argv[1], LoadFormat::kDummy, {});
  const auto start = std::chrono::steady_clock::now();
  const CalibrationStatistics statistics =
      calibrate(model, random_samples(samples, tokens, model.config.vocab_size), kernel_registry(),
                *device, {.max_memory = std::stoll(argument(5, "0"))});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const nlohmann::ordered_json report = {{"model", argv[1]},
                                         {"device", device->properties().name},
                                         {"samples", statistics.samples},
                                         {"tokens", statistics.tokens},
                                         {"max_memory", std::stoll(argument(5, "0"))},
                                         {"seconds", seconds.count()},
                                         {"peak_device_bytes", statistics.peak_device_bytes},
                                         {"spilled_bytes", statistics.spilled_bytes},
                                         {"peak_host_bytes", int64_t{usage.ru_maxrss} * 1024}};
  fmt::print("{}\n", report.dump());
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr,
               "usage: calibration_bench MODEL_DIR [samples=32] [tokens=512] [device=auto] "
               "[max_memory=0]\n");
    return 2;
  }
  try {
    octavo::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
