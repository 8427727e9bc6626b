// tune: searches build and run options for the fastest that keep a quality budget.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "octavo/llm.h"

namespace octavo {

struct TuneOptions {
  ModelOptions model;  // of every trial, but for what the grid sets; model_dir alone
  RuntimeOptions runtime;
  std::filesystem::path dataset;  // requests, as of bench throughput
  int64_t num_requests = 0;       // of a full trial; 0: all of the dataset
  // JSON: {"max_batch_size": [8, 64], "kv_cache_dtype": ["auto", "fp8"], …}: flags of build and
  // bench, each with its values.
  std::filesystem::path grid;
  std::string objective = "throughput";  // throughput, itl, ttft
  std::string search = "halving";        // halving, grid
  // With a quality data set, options whose perplexity rises by more than this fraction over the
  // reference are no candidates.
  std::optional<double> max_ppl_increase;
  std::filesystem::path quality_dataset;
  std::filesystem::path reference;  // 16-bit model; empty: model_dir with its KV cache in 16 bit
  int64_t quality_tokens = 8192;
  int64_t quality_context = 512;
  std::filesystem::path output_dir;  // trials.jsonl, tune.json, tune.html; finished trials are kept
};

// The table of trials and the winner's command line. Throws Error(kGateFailed) where no candidate
// keeps the quality budget.
std::string run_tune(const TuneOptions& options, Progress& progress);

}  // namespace octavo
