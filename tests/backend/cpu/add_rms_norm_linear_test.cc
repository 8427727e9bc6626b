// add_rms_norm_linear writes the bytes of add_rms_norm and the linear behind it.
// SPDX-License-Identifier: Apache-2.0
#include "ops/add_rms_norm_linear.h"

#include "backend/cpu/linear.h"
#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

// By the kernel that the whole would take.
HostTensor linear_of(OpCase one) {
  if (one.op == Op::kLinearSwiglu) {
    run_on_cpu(one);
    return one.outputs[0];
  }
  for (const Kernel& kernel : linear_kernels()) {
    if (!kernel.supports(one.problem()).supported) continue;
    run_on_cpu(kernel, one);
    return one.outputs[0];
  }
  throw Error(ErrorCategory::kInternal, "no linear");
}

TEST(AddRmsNormLinearTest, WritesTheBytesOfItsParts) {
  std::mt19937 random(1);
  constexpr int64_t kRows = 5, kDepth = 200, kColumns = 48;
  HostTensor scales(DType::kF32, {2});
  scales.set(0, 0.002);
  scales.set(1, 0.004);
  for (const DType type : {DType::kF32, DType::kBF16}) {
    const HostTensor x = normal_tensor(type, {kRows, kDepth}, 0, random);
    const HostTensor residual = normal_tensor(type, {kRows, kDepth}, 8, random);
    const HostTensor norm_weight = normal_tensor(type, {kDepth}, 0, random);
    const HostTensor weight = normal_tensor(DType::kE4M3, {2 * kColumns, kDepth}, 0, random, 30.0);
    const HostTensor bias = normal_tensor(type, {2 * kColumns}, 0, random);
    const HostTensor input_scale = scale_tensor(0.01);
    const Shape rows = {kRows, kDepth};
    const auto normed =
        results(Op::kAddRmsNorm, RmsNormParams{0.25f}, {x, residual, norm_weight, input_scale},
                {{type, rows}, {DType::kE4M3, rows}});
    for (const bool swiglu : {false, true}) {
      const DType y = swiglu ? DType::kE4M3 : type;
      const HostTensor output_scale = swiglu ? scale_tensor(0.02) : HostTensor();
      std::vector<HostTensor> inputs = {normed[1], weight, input_scale, scales, HostTensor()};
      if (swiglu) {
        inputs.push_back(output_scale);
      } else {
        inputs[4] = bias;
      }
      const HostTensor to(y, {kRows, swiglu ? kColumns : 2 * kColumns});
      const HostTensor expected = linear_of({.op = swiglu ? Op::kLinearSwiglu : Op::kLinear,
                                             .params = LinearParams{{kColumns, kColumns}},
                                             .inputs = inputs,
                                             .outputs = {to}});
      const auto fused =
          results(Op::kAddRmsNormLinear,
                  NormLinearParams{.epsilon = 0.25f, .segment_rows = {kColumns, kColumns}},
                  {x, residual, norm_weight, weight, input_scale, scales, inputs[4], output_scale},
                  {{type, rows}, to});
      EXPECT_EQ(bytes_of(fused[0]), bytes_of(normed[0]));
      EXPECT_EQ(bytes_of(fused[1]), bytes_of(expected)) << to_string(type) << swiglu;
    }
  }
}

}  // namespace
}  // namespace octavo
