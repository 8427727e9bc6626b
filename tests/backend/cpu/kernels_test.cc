// The CPU backend has a kernel for every op.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/kernels.h"

#include <gtest/gtest.h>

#include <set>

namespace octavo {
namespace {

TEST(CpuKernelsTest, EveryOpHasAKernelAndEveryNameIsUnique) {
  std::set<Op> ops;
  std::set<std::string_view> names;
  for (const Kernel& kernel : cpu_kernels()) {
    EXPECT_EQ(kernel.traits.device, DeviceType::kCpu) << kernel.name;
    EXPECT_TRUE(kernel.traits.batch_invariant) << kernel.name;
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
    EXPECT_TRUE(kernel.name.starts_with("cpu_" + std::string(to_string(kernel.op))));
    ops.insert(kernel.op);
  }
  EXPECT_EQ(ops.size(), static_cast<size_t>(kOpCount));
}

}  // namespace
}  // namespace octavo
