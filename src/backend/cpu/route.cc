// Route on the CPU: the largest logits of every token, and their softmax.
// SPDX-License-Identifier: Apache-2.0
#include "ops/route.h"

#include <cmath>
#include <vector>

#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"

namespace octavo {
namespace {

// Indices of the largest values, the first of equals first; distinct whatever the values are.
void choose(const float* logits, int64_t experts, int64_t top_k, int32_t* chosen) {
  std::vector<bool> taken(static_cast<size_t>(experts));
  for (int64_t i = 0; i < top_k; ++i) {
    int64_t best = -1;
    for (int64_t e = 0; e < experts; ++e) {
      if (!taken[e] && (best < 0 || logits[e] > logits[best])) best = e;
    }
    taken[best] = true;
    chosen[i] = static_cast<int32_t>(best);
  }
}

// Rounded once: every device gives these bits.
float exponential(float difference) {
  return static_cast<float>(std::exp(static_cast<double>(difference)));
}

// The softmax of the chosen logits; not normalised, its denominator is that of all.
void weigh(const float* logits, int64_t experts, bool normalize, std::span<const int32_t> chosen,
           float* weights) {
  const float largest = logits[chosen[0]];
  float sum = 0.0f;
  if (!normalize) {
    for (int64_t e = 0; e < experts; ++e) sum += exponential(logits[e] - largest);
  }
  for (size_t i = 0; i < chosen.size(); ++i) {
    weights[i] = exponential(logits[chosen[i]] - largest);
    if (normalize) sum += weights[i];
  }
  for (size_t i = 0; i < chosen.size(); ++i) weights[i] /= sum;
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = RouteArgs::bind(operands);
  const int64_t experts = args.logits.columns(), top_k = args.params->top_k;
  const auto route_rows = [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(experts));
    for (int64_t row = begin; row < end; ++row) {
      auto* chosen = args.experts.row<int32_t>(row);
      auto* weights = args.weights.row<float>(row);
      if (args.slots.defined() && args.slots.as<int64_t>()[row] < 0) {
        std::fill_n(chosen, top_k, -1);
        std::fill_n(weights, top_k, 0.0f);
        continue;
      }
      const float* logits = read_row(args.logits, row, values.data());
      choose(logits, experts, top_k, chosen);
      weigh(logits, experts, args.params->normalize, {chosen, static_cast<size_t>(top_k)}, weights);
    }
  };
  context.pool->parallel_for(args.logits.rows(), rows_grain(experts * top_k), route_rows);
}

Verdict supports(const Problem& problem) {
  const DType weights = problem.outputs[1].dtype;
  if (!is_activation(problem.inputs[0].dtype) || weights != DType::kF32)
    return Verdict::no(fmt::format("expected float logits and float32 weights, got {} and {}",
                                   to_string(problem.inputs[0].dtype), to_string(weights)));
  return Verdict::yes();
}

}  // namespace

const Kernel kCpuRoute = {.name = "cpu_route",
                          .op = Op::kRoute,
                          .traits = {},
                          .supports = supports,
                          .workspace = nullptr,
                          .run = run};

}  // namespace octavo
