// The registry keeps the order of preference and explains why nothing fits.
// SPDX-License-Identifier: Apache-2.0
#include "ops/kernel.h"

#include <gtest/gtest.h>

#include <array>

namespace octavo {
namespace {

Verdict any(const Problem&) { return Verdict::yes(); }
Verdict few_rows(const Problem& problem) {
  return problem.inputs[0].shape[0] <= 4 ? Verdict::yes() : Verdict::no("more than 4 rows");
}
Verdict never(const Problem&) { return Verdict::no("not on this machine"); }

constexpr auto kTable = std::to_array<Kernel>({
    {.name = "cpu_add_small", .op = Op::kAdd, .supports = few_rows},
    {.name = "cpu_add_never", .op = Op::kAdd, .supports = never},
    {.name = "cuda_add", .op = Op::kAdd, .traits = {.device = DeviceType::kCuda}, .supports = any},
    {.name = "cpu_quantize", .op = Op::kQuantize, .supports = any},
});

KernelRegistry registry() {
  KernelRegistry out;
  out.add(kTable);
  return out;
}

Problem add_of(int64_t rows) { return {.op = Op::kAdd, .inputs = {{.shape = {rows, 8}}}}; }

TEST(KernelRegistryTest, CandidatesAreOfTheOpAndTheDevice) {
  const KernelRegistry kernels = registry();
  const auto on_cpu = kernels.candidates(add_of(4), DeviceType::kCpu);
  ASSERT_EQ(on_cpu.size(), 1u);
  EXPECT_EQ(on_cpu[0]->name, "cpu_add_small");
  EXPECT_EQ(kernels.candidates(add_of(5), DeviceType::kCuda)[0]->name, "cuda_add");
}

TEST(KernelRegistryTest, NoCandidateListsEveryReason) {
  try {
    registry().candidates(add_of(5), DeviceType::kCpu);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kUnsupported);
    EXPECT_STREQ(error.what(),
                 "[add] no cpu kernel can run this call:\n  cpu_add_small: more than 4 rows\n  "
                 "cpu_add_never: not on this machine");
  }
  try {
    registry().candidates({.op = Op::kRope}, DeviceType::kCuda);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[rope] no cuda kernel can run this call (there is none)");
  }
}

TEST(KernelRegistryTest, FindsByName) {
  const KernelRegistry kernels = registry();
  EXPECT_EQ(kernels.find("cpu_quantize")->op, Op::kQuantize);
  EXPECT_EQ(kernels.find("cpu_quantiz"), nullptr);
  EXPECT_EQ(kernels.all().size(), 4u);
}

}  // namespace
}  // namespace octavo
