// Quantization within a budget of perplexity: how many layers must stay in 16 bit.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/thread_pool.h"
#include "octavo/config.h"
#include "octavo/quantize.h"
#include "quant/quantized_weights.h"

namespace octavo {

struct QualityBudget {
  double max_ppl_increase = 0.0;  // a fraction
  std::vector<int32_t> stream;    // of held-out text
  int64_t context = 512;          // tokens of a window
  BuildConfig config;             // of the models that are measured
};

// The held-out text as tokens: --quality_dataset, or what --calib_dataset has behind the documents
// that calibrate. Error(kUsage) where there is none, Error(kBadFile) where it is less than a
// window.
std::vector<int32_t> quality_stream(const QuantizeOptions& options, const ModelDir& model);

struct BudgetedPlan {
  ModelDir model;  // that the plan is of
  QuantizationPlan plan;
  QualityReport report;
};

// `plan` of `prepared`, which computes what `original` does, with as few of its layers left as they
// are in `original` as keep the budget. The most sensitive go first, and their number is bisected,
// each time with the perplexity of the whole model; nothing is calibrated again. Error(kGateFailed)
// where the budget cannot be kept.
BudgetedPlan keep_quality(const ModelDir& original, const ModelDir& prepared,
                          const QuantizationPlan& plan, const QualityBudget& budget,
                          ThreadPool& pool, Progress& progress);

// The smallest count in [1, most] that `holds`, by bisection, if any does: where it holds for one
// it does for more.
std::optional<int64_t> fewest(int64_t most, const std::function<bool(int64_t)>& holds);

}  // namespace octavo
