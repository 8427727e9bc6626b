// The catalogue of CUDA kernels: complete, unique, and honest about what it does not take.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/kernels.h"

#include <gtest/gtest.h>

#include <set>

namespace octavo {
namespace {

TEST(CudaKernels, EveryOpHasOneAndNamesAreUnique) {
  std::set<std::string_view> names;
  std::set<Op> ops;
  for (const Kernel& kernel : cuda_kernels()) {
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
    EXPECT_EQ(kernel.name.substr(0, 5), "cuda_");
    EXPECT_EQ(kernel.traits.device, DeviceType::kCuda);
    EXPECT_NE(kernel.supports, nullptr);
    EXPECT_NE(kernel.run, nullptr);
    ops.insert(kernel.op);
  }
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    EXPECT_TRUE(ops.contains(op)) << to_string(op);
  }
}

// What a kernel refuses it refuses with a reason.
TEST(CudaKernels, LinearRefusalsHaveReasons) {
  const Problem::Operand scale = {{1}, DType::kF32, true};
  Problem problem;
  problem.op = Op::kLinear;
  problem.params = LinearParams{};
  problem.inputs = {
      {{64, 40}, DType::kE4M3, true}, {{24, 40}, DType::kE4M3, true}, scale, scale, {}};
  problem.outputs = {{{64, 24}, DType::kBF16, true}};
  KernelRegistry registry;
  registry.add(cuda_kernels());
  const auto found = registry.candidates(problem, DeviceType::kCuda);
  ASSERT_EQ(found.size(), 1u);  // 64 rows, 40 columns: neither tiles nor cuBLASLt
  EXPECT_EQ(found[0]->name, "cuda_linear_reference");
  problem.outputs[0].dtype = DType::kI32;
  EXPECT_THROW(registry.candidates(problem, DeviceType::kCuda), Error);
}

}  // namespace
}  // namespace octavo
