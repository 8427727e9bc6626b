// Linears by block: the bytes of a row depend neither on its neighbours nor on the threads.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear_blocks.h"

#include "backend/cpu/linear.h"
#include "backend/cpu/run_kernel.h"
#include "ops/block_linear_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

std::vector<std::byte> run(const Kernel& kernel, OpCase one, int threads) {
  ThreadPool pool(threads);
  std::vector<TensorView> inputs;
  for (const HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  const TensorView outputs[] = {one.outputs[0].view()};
  const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(one.problem());
  std::vector<std::byte> workspace(static_cast<size_t>(bytes));
  kernel.run({inputs, outputs, &one.params}, {.pool = &pool, .workspace = workspace});
  return bytes_of(one.outputs[0]);
}

// The last row of the case, by itself.
OpCase last_row(const OpCase& one) {
  OpCase alone = one;
  const int64_t rows = one.inputs[0].shape()[0];
  for (HostTensor* tensor : {&alone.inputs[0], &alone.inputs[2]}) {
    if (!tensor->present()) continue;
    const int64_t columns = tensor->shape()[1];
    HostTensor row(tensor->dtype(), {1, columns});
    for (int64_t k = 0; k < columns; ++k) row.set(k, tensor->get((rows - 1) * columns + k));
    *tensor = row;
  }
  alone.outputs = {{one.outputs[0].dtype(), {1, one.outputs[0].shape()[1]}}};
  return alone;
}

TEST(LinearBlocksTest, RowsAreIndependentOfTheirNeighboursAndOfThreads) {
  std::mt19937 random(3);
  for (const BlockGrid& grid : block_grid()) {
    if (grid.rows != 200) continue;
    const OpCase one = block_linear_case(grid, random);
    for (const Kernel& kernel : linear_kernels()) {
      if (!kernel.supports(one.problem()).supported) continue;
      const auto all = run(kernel, one, 1);
      EXPECT_EQ(run(kernel, one, 3), all) << kernel.name << " " << grid.name();
      const auto alone = run(kernel, last_row(one), 2);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.end() - std::ssize(alone)))
          << kernel.name << " " << grid.name();
    }
  }
}

}  // namespace
}  // namespace octavo
