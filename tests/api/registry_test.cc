// The kernels that this program has.
// SPDX-License-Identifier: Apache-2.0
#include "api/registry.h"

#include <gtest/gtest.h>

#include <set>

namespace octavo {
namespace {

TEST(Registry, EveryOpHasAKernelAndNamesAreUnique) {
  const KernelRegistry& registry = kernel_registry();
  EXPECT_EQ(&registry, &kernel_registry());
  std::set<std::string_view> names;
  std::set<Op> ops;
  for (const Kernel& kernel : registry.all()) {
    EXPECT_TRUE(names.insert(kernel.name).second) << kernel.name;
    EXPECT_EQ(registry.find(kernel.name), &kernel);
    ops.insert(kernel.op);
  }
  EXPECT_EQ(std::ssize(ops), kOpCount);
}

}  // namespace
}  // namespace octavo
