// A row of a grouped linear does not depend on other rows, threads or its place.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/grouped_linear.h"

#include "backend/cpu/run_kernel.h"
#include "ops/moe_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

HostTensor run(const Kernel& kernel, const OpCase& one, int threads) {
  ThreadPool pool(threads);
  HostTensor y = one.outputs[0];
  std::vector<TensorView> inputs, outputs = {y.view()};
  for (const HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(one.problem());
  std::vector<std::byte> workspace(static_cast<size_t>(bytes));
  kernel.run({inputs, outputs, &one.params}, {.pool = &pool, .workspace = workspace});
  return y;
}

// All tokens are one token, so that all rows of an expert are equal.
TEST(GroupedLinearTest, RowsOfAnExpertDependOnNothingElse) {
  std::mt19937 random(3);
  for (const DType dtype : {DType::kBF16, DType::kE4M3}) {
    OpCase one = grouped_linear_case({{150, 2, DType::kBF16}, 256, dtype}, random);
    for (int64_t i = 256; i < one.inputs[0].elements(); ++i)
      one.inputs[0].set(i, one.inputs[0].get(i % 256));
    for (const Kernel& kernel : grouped_linear_kernels()) {
      if (!kernel.supports(one.problem()).supported) continue;
      const HostTensor y = run(kernel, one, 1);
      EXPECT_EQ(bytes_of(run(kernel, one, 3)), bytes_of(y)) << kernel.name;
      for (int64_t expert = 0; expert < kExperts; ++expert) {
        const auto begin = static_cast<int64_t>(one.inputs[4].get(expert));
        const auto end = static_cast<int64_t>(one.inputs[4].get(expert + 1));
        for (int64_t i = begin * 35; i < end * 35; ++i)
          ASSERT_EQ(y.get(i), y.get(begin * 35 + i % 35)) << kernel.name << " expert " << expert;
      }
    }
  }
}

}  // namespace
}  // namespace octavo
