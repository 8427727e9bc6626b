// bench: request sets, throughput and latency.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "octavo/llm.h"

namespace octavo {

struct DatasetSpec {
  std::string distribution;  // token-norm-dist or token-unif-dist
  int64_t num_requests = 0;
  double input_mean = 0.0, input_stdev = 0.0, output_mean = 0.0, output_stdev = 0.0;
  int64_t input_min = 0, input_max = 0, output_min = 0, output_max = 0;
  std::filesystem::path tokenizer;  // a folder; config.json's vocab_size suffices
  std::filesystem::path output;
  uint64_t random_seed = 420;
};

void write_bench_dataset(const DatasetSpec& spec);

struct BenchOptions {
  ModelOptions model;
  RuntimeOptions runtime;
  std::filesystem::path dataset;
  int64_t num_requests = 0;  // 0: all
  int64_t warmup = 2;
  int64_t concurrency = 0;        // 0: all at once
  double request_rate = 0.0;      // requests/s, Poisson; 0: no waiting
  std::string protocol = "full";  // full, steady
  double window_s = 45.0;         // of steady
  bool latency = false;           // batch 1
  uint64_t seed = 0;
  std::filesystem::path report_json;
  std::filesystem::path request_json;
};

// Runs and returns the console report; writes the JSON files where asked for.
std::string run_bench(const BenchOptions& options, Progress& progress);

// The figures of two --report_json files side by side, with what of their difference is noise and
// which settings differ. Throws Error(kBadFile) naming file and field.
std::string compare_bench_reports(const std::filesystem::path& before,
                                  const std::filesystem::path& after);

}  // namespace octavo
