// linear_swiglu writes the bytes of linear and swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "ops/linear_swiglu.h"

#include "backend/cpu/linear.h"
#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

HostTensor run_with_workspace(const Kernel& kernel, const OpCase& one) {
  ThreadPool pool(2);
  std::vector<TensorView> inputs;
  for (const HostTensor& tensor : one.inputs) inputs.push_back(tensor.view());
  HostTensor y = one.outputs.front();
  const TensorView view = y.view();
  const int64_t bytes = kernel.workspace == nullptr ? 0 : kernel.workspace(one.problem());
  std::vector<std::byte> workspace(static_cast<size_t>(bytes));
  kernel.run({inputs, {&view, 1}, &one.params}, {.pool = &pool, .workspace = workspace});
  return y;
}

const Kernel& first_linear(const Problem& problem) {
  for (const Kernel& kernel : linear_kernels()) {
    if (kernel.supports(problem).supported) return kernel;
  }
  throw Error(ErrorCategory::kInternal, "no linear");
}

TEST(LinearSwigluTest, WritesTheBytesOfItsParts) {
  std::mt19937 random(1);
  constexpr int64_t kRows = 37, kDepth = 200, kColumns = 50;
  HostTensor scales(DType::kF32, {2});
  scales.set(0, 0.002);
  scales.set(1, 0.004);
  const OpParams params = LinearParams{{kColumns, kColumns}};
  const std::vector<HostTensor> inputs = {
      normal_tensor(DType::kE4M3, {kRows, kDepth}, 8, random, 20.0),
      normal_tensor(DType::kE4M3, {2 * kColumns, kDepth}, 0, random, 30.0), scale_tensor(0.01),
      scales, HostTensor()};
  for (const DType output : {DType::kE4M3, DType::kBF16, DType::kF32}) {
    const HostTensor scale = output == DType::kE4M3 ? scale_tensor(0.02) : HostTensor();
    const DType halves = rounded_halves(output);
    const OpCase linear{.op = Op::kLinear,
                        .params = params,
                        .inputs = inputs,
                        .outputs = {{halves, {kRows, 2 * kColumns}}}};
    const HostTensor both = run_with_workspace(first_linear(linear.problem()), linear);
    HostTensor gate(halves, {kRows, kColumns}), up(halves, {kRows, kColumns});
    for (int64_t i = 0; i < kRows * kColumns; ++i) {
      const int64_t at = i / kColumns * 2 * kColumns + i % kColumns;
      gate.set(i, both.get(at));
      up.set(i, both.get(at + kColumns));
    }
    const auto expected =
        results(Op::kSwiglu, {}, {gate, up, scale}, {{output, {kRows, kColumns}}});
    OpCase fused{.op = Op::kLinearSwiglu, .params = params, .inputs = inputs};
    fused.inputs.push_back(scale);
    fused.outputs = {{output, {kRows, kColumns}}};
    const HostTensor y = run_with_workspace(cpu_kernel("cpu_linear_swiglu"), fused);
    EXPECT_EQ(bytes_of(y), bytes_of(expected[0])) << to_string(output);
  }
}

}  // namespace
}  // namespace octavo
