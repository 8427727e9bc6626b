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

TEST(KernelRegistryTest, AKernelOfOneArchitectureRunsThereAlone) {
  constexpr auto kTable = std::to_array<Kernel>({
      {.name = "hopper",
       .op = Op::kAdd,
       .traits = {.device = DeviceType::kCuda, .only_major = 9},
       .supports = any},
      {.name = "portable",
       .op = Op::kAdd,
       .traits = {.device = DeviceType::kCuda},
       .supports = any},
  });
  KernelRegistry kernels;
  kernels.add(kTable);
  KernelTarget target = DeviceType::kCuda;  // of a capability that is not known
  EXPECT_EQ(kernels.candidates(add_of(1), target).size(), 2u);
  target.compute_capability = 90;
  EXPECT_EQ(kernels.candidates(add_of(1), target).size(), 2u);
  for (const int capability : {89, 100, 120}) {
    target.compute_capability = capability;
    const auto found = kernels.candidates(add_of(1), target);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0]->name, "portable");
  }
  EXPECT_EQ(target.runs(kTable[0]).reason, "for compute capability 9.x, the device has 12.0");
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
