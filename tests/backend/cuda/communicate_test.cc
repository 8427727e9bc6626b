// Ranks on GPUs sum activations, and only with peers.
// SPDX-License-Identifier: Apache-2.0
#include "ops/communicate.h"

#include <gtest/gtest.h>

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

TEST(CommunicateKernels, SumActivationsAlone) {
  const auto is_supported = [](DType dtype) {
    const Problem::Operand matrix{.shape = {4, 8}, .dtype = dtype, .present = true};
    const Problem problem{
        .op = Op::kAllReduce, .params = GroupParams{2}, .inputs = {matrix}, .outputs = {matrix}};
    return cuda_kernel("cuda_all_reduce").supports(problem).supported;
  };
  EXPECT_TRUE(is_supported(DType::kBF16));
  EXPECT_TRUE(is_supported(DType::kF32));
  EXPECT_FALSE(is_supported(DType::kE4M3));
}

TEST(CommunicateKernels, AProgramOfSeveralRanksDoesNotRunAlone) {
  Tensor x(DType::kF32, {2, 8}), y(DType::kF32, {2, 8});
  const std::vector<TensorView> inputs = {x.view()}, outputs = {y.view()};
  const OpParams params = GroupParams{2};
  EXPECT_THROW(cuda_kernel("cuda_all_reduce").run({inputs, outputs, &params}, {}), Error);
  EXPECT_THROW(cuda_kernel("cuda_send").run({inputs, {}, &params}, {}), Error);
}

}  // namespace
}  // namespace octavo::testing
