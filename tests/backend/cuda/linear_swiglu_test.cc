// The kernels of linear_swiglu write the bytes of those of linear and swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "ops/linear_swiglu.h"

#include "backend/cuda/linear_case.h"

namespace octavo::testing {
namespace {

// Strided rows, a bias, halves with one scale or with their own.
void expect_bytes_of_unfused(int64_t tokens, std::string_view linear_kernel,
                             std::string_view fused_kernel) {
  constexpr int64_t kColumns = 176, kDepth = 272;
  for (const int segments : {1, 2}) {
    for (const DType bias : {DType::kBF16, DType::kI32}) {
      const Linear linear =
          make_linear(DType::kE4M3, tokens, 2 * kColumns, kDepth, segments, false, bias);
      Tensor both(DType::kBF16, {tokens, 2 * kColumns});
      DeviceCall first;
      first.pitch(16);
      add_inputs(first, linear);
      first.out(both).run(linear_kernel);
      Tensor halves[2] = {Tensor(DType::kBF16, {tokens, kColumns}),
                          Tensor(DType::kBF16, {tokens, kColumns})};
      for (int64_t row = 0; row < tokens; ++row) {
        for (int half = 0; half < 2; ++half)
          std::memcpy(halves[half].data() + row * kColumns * 2,
                      both.data() + (row * 2 + half) * kColumns * 2, kColumns * 2);
      }
      Tensor expected(DType::kE4M3, {tokens, kColumns}), y(DType::kE4M3, {tokens, kColumns});
      DeviceCall second;
      second.in(halves[0]).in(halves[1]).in(scalar(0.02f)).out(expected).run("cuda_swiglu");
      DeviceCall fused;
      fused.pitch(16);
      add_inputs(fused, linear);
      fused.in(scalar(0.02f)).out(y).run(fused_kernel);
      expect_same_bytes(y, expected, fmt::format("{} segments", segments));
    }
  }
}

TEST(LinearSwigluKernel, GivesTheBytesOfTheUnfusedKernels) {
  OCTAVO_REQUIRE_DEVICE();
  expect_bytes_of_unfused(140, "cuda_linear_sm90", "cuda_linear_swiglu");
}

TEST(LinearSwigluKernel, OfFewTokensGivesTheBytesOfTheUnfusedKernels) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t tokens : {1, 3, 32, 64})
    expect_bytes_of_unfused(tokens, "cuda_linear_low_latency", "cuda_linear_swiglu_low_latency");
}

Problem small_problem() {
  Problem problem{.op = Op::kLinearSwiglu, .params = LinearParams{}};
  problem.inputs = {{{4, 64}, DType::kE4M3, true},
                    {{64, 64}, DType::kE4M3, true},
                    {{1}, DType::kF32, true},
                    {{1}, DType::kF32, true},
                    {},
                    {{1}, DType::kF32, true}};
  problem.outputs = {{{4, 32}, DType::kE4M3, true}};
  return problem;
}

TEST(LinearSwigluKernel, SaysWhatItCannotRun) {
  const Kernel& kernel = cuda_kernel("cuda_linear_swiglu");
  const Problem problem = small_problem();
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

TEST(LinearSwigluKernel, OfFewTokensSaysWhatItCannotRun) {
  const Kernel& kernel = cuda_kernel("cuda_linear_swiglu_low_latency");
  const Problem problem = small_problem();
  EXPECT_TRUE(kernel.supports(problem).supported);
  Problem narrow = problem;
  narrow.inputs[1].shape[0] = 48;
  EXPECT_TRUE(kernel.supports(narrow).supported);
  Problem many = problem;
  many.inputs[0].shape[0] = 65;
  EXPECT_EQ(kernel.supports(many).reason, "65 rows, at most 64");
  Problem plain = problem;
  plain.outputs[0].dtype = DType::kBF16;
  EXPECT_EQ(kernel.supports(plain).reason, "y that is not E4M3");
  Problem segments = problem;
  segments.params = LinearParams{.segment_rows = std::vector<int64_t>(8, 8)};
  EXPECT_EQ(kernel.supports(segments).reason, "8 segments");
  Problem ragged = problem;
  ragged.inputs[0].shape[1] = ragged.inputs[1].shape[1] = 72;
  EXPECT_EQ(kernel.supports(ragged).reason, "72 columns, not a multiple of 16");
}

}  // namespace
}  // namespace octavo::testing
