// Mixtral's Program on a GPU: every call has a kernel, and which one follows from the rows.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "backend/cuda/kernels.h"
#include "builder/build.h"
#include "model/tiny_moe.h"

namespace octavo {
namespace {

const KernelRegistry& cuda_registry() {
  static const KernelRegistry instance = [] {
    KernelRegistry registry;
    registry.add(cuda_kernels());
    return registry;
  }();
  return instance;
}

// Kernels of the linears of experts in a plan.
std::set<std::string> grouped_kernels(const Plan& plan) {
  std::set<std::string> names;
  for (size_t i = 0; i < plan.kernels.size(); ++i) {
    if (plan.program.calls[i].op == Op::kGroupedLinear) names.insert(plan.kernels[i]);
  }
  return names;
}

TEST(MoePlan, EveryCallHasAKernelInEveryBucket) {
  for (const auto& quantization : {CheckpointQuantization{}, fp8_with_kv_cache()}) {
    BuildConfig options;
    options.device = "cuda";
    options.dtype = "bfloat16";
    const Blueprint blueprint = make_blueprint(tiny_moe(quantization), options, cuda_registry());
    ASSERT_GT(blueprint.plans.size(), 2u);
    for (const Plan& plan : blueprint.plans) {
      EXPECT_EQ(plan.kernels.size(), plan.program.calls.size());
      for (size_t i = 0; i < plan.kernels.size(); ++i) {
        const bool of_experts = plan.program.calls[i].op >= Op::kRoute;
        const bool is_fallback = cuda_registry().find(plan.kernels[i])->traits.fallback;
        EXPECT_FALSE(of_experts && is_fallback) << plan.kernels[i];
      }
    }
    EXPECT_EQ(grouped_kernels(blueprint.plans.front()),
              std::set<std::string>{"cuda_grouped_linear_few_rows"});
  }
}

}  // namespace
}  // namespace octavo
