// cuda_linear_swiglu writes the bytes of cuda_linear_sm90 and cuda_swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "ops/linear_swiglu.h"

#include "backend/cuda/linear_case.h"

namespace octavo::testing {
namespace {

// Strided rows, a bias, halves with one scale or with their own.
TEST(LinearSwigluKernel, GivesTheBytesOfTheUnfusedKernels) {
  OCTAVO_REQUIRE_DEVICE();
  constexpr int64_t kTokens = 140, kColumns = 176, kDepth = 272;
  for (const int segments : {1, 2}) {
    for (const DType bias : {DType::kBF16, DType::kI32}) {
      const Linear linear =
          make_linear(DType::kE4M3, kTokens, 2 * kColumns, kDepth, segments, false, bias);
      Tensor both(DType::kBF16, {kTokens, 2 * kColumns});
      DeviceCall first;
      first.pitch(16);
      add_inputs(first, linear);
      first.out(both).run("cuda_linear_sm90");
      Tensor halves[2] = {Tensor(DType::kBF16, {kTokens, kColumns}),
                          Tensor(DType::kBF16, {kTokens, kColumns})};
      for (int64_t row = 0; row < kTokens; ++row) {
        for (int half = 0; half < 2; ++half)
          std::memcpy(halves[half].data() + row * kColumns * 2,
                      both.data() + (row * 2 + half) * kColumns * 2, kColumns * 2);
      }
      Tensor expected(DType::kE4M3, {kTokens, kColumns}), y(DType::kE4M3, {kTokens, kColumns});
      DeviceCall second;
      second.in(halves[0]).in(halves[1]).in(scalar(0.02f)).out(expected).run("cuda_swiglu");
      DeviceCall fused;
      fused.pitch(16);
      add_inputs(fused, linear);
      fused.in(scalar(0.02f)).out(y).run("cuda_linear_swiglu");
      expect_same_bytes(y, expected, fmt::format("{} segments", segments));
    }
  }
}

TEST(LinearSwigluKernel, SaysWhatItCannotRun) {
  const Kernel& kernel = cuda_kernel("cuda_linear_swiglu");
  Problem problem{.op = Op::kLinearSwiglu, .params = LinearParams{}};
  problem.inputs = {{{4, 64}, DType::kE4M3, true},
                    {{64, 64}, DType::kE4M3, true},
                    {{1}, DType::kF32, true},
                    {{1}, DType::kF32, true},
                    {},
                    {{1}, DType::kF32, true}};
  problem.outputs = {{{4, 32}, DType::kE4M3, true}};
  EXPECT_TRUE(kernel.supports(problem).supported);
  Problem narrow = problem;
  narrow.inputs[1].shape[0] = 48;
  EXPECT_EQ(kernel.supports(narrow).reason, "24 outputs, not a multiple of 16");
  Problem plain = problem;
  plain.outputs[0].dtype = DType::kBF16;
  EXPECT_EQ(kernel.supports(plain).reason, "y that is not E4M3");
  Problem wide = problem;
  wide.inputs[0].dtype = DType::kBF16;
  EXPECT_FALSE(kernel.supports(wide).supported);
}

}  // namespace
}  // namespace octavo::testing
