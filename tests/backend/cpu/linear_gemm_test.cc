// What linear and grouped_linear share: types that are read, room that is needed.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/linear_gemm.h"

#include <gmock/gmock.h>

#include "backend/cpu/gemm_cores.h"
#include "backend/cpu/grouped_linear.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/run_kernel.h"
#include "ops/block_linear_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

std::vector<std::byte> run(const Kernel& kernel, const OpCase& one) {
  ThreadPool pool(2);
  std::vector<TensorView> inputs;
  for (const HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  const HostTensor y = one.outputs[0];
  const TensorView outputs[] = {y.view()};
  std::vector<std::byte> workspace(
      kernel.workspace == nullptr ? 0 : static_cast<size_t>(kernel.workspace(one.problem())));
  kernel.run({inputs, outputs, &one.params}, {.pool = &pool, .workspace = workspace});
  return bytes_of(y);
}

// The expert's rows as a linear of their own; the copy shares no memory with the case.
OpCase expert_alone(const OpCase& one, const BlockGrid& grid, int64_t expert) {
  const auto begin = static_cast<int64_t>(one.inputs[4].get(expert));
  const auto rows = static_cast<int64_t>(one.inputs[4].get(expert + 1)) - begin;
  const auto part = [](const HostTensor& whole, int64_t first, Shape shape) {
    HostTensor copy(whole.dtype(), shape);
    for (int64_t i = 0; i < copy.elements(); ++i) copy.set(i, whole.get(first + i));
    return copy;
  };
  const Shape& weight = one.inputs[1].shape();
  const Shape& scale = one.inputs[3].shape();
  const Shape scales = scale.rank() == 1 ? Shape{1} : Shape{scale[1], scale[2]};
  OpCase alone{.op = Op::kLinear, .params = one.params};
  alone.inputs = {part(one.inputs[0], begin * grid.in, {rows, grid.in}),
                  part(one.inputs[1], expert * weight[1] * grid.in, {weight[1], grid.in}),
                  one.inputs[2].present()
                      ? part(one.inputs[2], begin * grid.input_groups, {rows, grid.input_groups})
                      : HostTensor(),
                  part(one.inputs[3], expert * scales.elements(), scales), HostTensor()};
  alone.outputs = {{DType::kF32, {rows, grid.out}}};
  return alone;
}

TEST(LinearGemmTest, AnExpertIsALinearOfItsOwn) {
  std::mt19937 random(5);
  for (const BlockGrid& grid : block_grid()) {
    if (grid.rows != 0 || grid.in != 300) continue;
    const OpCase one = grouped_block_case({33, 2, grid.x}, grid, random);
    for (size_t i = 0; i < linear_kernels().size(); ++i) {
      const Kernel &grouped = grouped_linear_kernels()[i], &linear = linear_kernels()[i];
      if (!grouped.supports(one.problem()).supported) continue;
      const std::vector<std::byte> all = run(grouped, one);
      const auto row_bytes = static_cast<int64_t>(sizeof(float)) * grid.out;
      for (int64_t expert = 0; expert < kExperts; ++expert) {
        const std::vector<std::byte> alone = run(linear, expert_alone(one, grid, expert));
        const auto begin =
            all.begin() + static_cast<int64_t>(one.inputs[4].get(expert)) * row_bytes;
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), begin))
            << grouped.name << " " << grid.name() << " expert " << expert;
      }
    }
  }
}

TEST(LinearGemmTest, TypesThatNoKernelReads) {
  Problem problem{.op = Op::kLinear, .params = LinearParams{}};
  problem.inputs = {{{2, 8}, DType::kF16, true}, {{4, 8}, DType::kBF16, true}};
  problem.outputs = {{{2, 4}, DType::kF32, true}};
  EXPECT_THAT(supports_linear_scalar(problem).reason, testing::HasSubstr("x: expected"));
  problem.inputs[0].dtype = DType::kI8;  // codes of inputs are E4M3
  EXPECT_FALSE(supports_linear_scalar(problem).supported);
  problem.inputs[0].dtype = DType::kBF16;
  problem.outputs[0].dtype = DType::kE4M3;
  EXPECT_THAT(supports_linear_scalar(problem).reason, testing::HasSubstr("y: expected"));
}

}  // namespace
}  // namespace octavo
