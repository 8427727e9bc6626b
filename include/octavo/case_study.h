// case_study: the published FP8 case study on this machine, step by step.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "octavo/llm.h"

namespace octavo {

struct CaseStudyOptions {
  ModelOptions model;  // the 16-bit model; every step sets qformat, KV type and plugins by itself
  RuntimeOptions runtime;
  // What `octavo quantize --kv_cache_dtype fp8` made of it; not needed with dummy weights.
  std::filesystem::path quantized_dir;
  int64_t num_requests = 1000;  // of the full protocol
  int64_t input_tokens = 2048;
  int64_t output_tokens = 2048;
  int64_t latency_requests = 20;   // prompts for TTFT, of which three run to their end for ITL
  double window_s = 45.0;          // of the steady protocol
  double time_budget_s = 0.0;      // no step begins later than this; 0: all run
  std::vector<std::string> steps;  // by name; empty: all
  // case-study.json (finished rows, which are not run again), case-study.md and case-study.html.
  std::filesystem::path output_dir;
};

// The table beside the published one. A step that this machine or model refuses is a row that says
// why.
std::string run_case_study(const CaseStudyOptions& options, Progress& progress);

}  // namespace octavo
