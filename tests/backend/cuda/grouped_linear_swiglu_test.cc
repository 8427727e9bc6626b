// The kernels of grouped_linear_swiglu write the bytes of those of grouped_linear and
// grouped_swiglu.
// SPDX-License-Identifier: Apache-2.0
#include "ops/grouped_linear_swiglu.h"

#include "backend/cuda/grouped_case.h"

namespace octavo::testing {
namespace {

Tensor output_scales(int64_t experts) {
  std::vector<float> scales;
  for (int64_t i = 0; i < experts; ++i) scales.push_back(0.01f * static_cast<float>(i + 2));
  return vector_of(DType::kF32, scales);
}

// Gate and up, one linear and then SwiGLU.
Tensor unfused(const Grouped& grouped, std::string_view linear_kernel) {
  const int64_t rows = grouped.rows(), columns = grouped.n / 2;
  const Tensor both = run_grouped(grouped, linear_kernel, DType::kBF16);
  Tensor gate(DType::kBF16, {rows, columns}), up(DType::kBF16, {rows, columns});
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(gate.data() + row * columns * 2, both.data() + row * columns * 4, columns * 2);
    std::memcpy(up.data() + row * columns * 2, both.data() + row * columns * 4 + columns * 2,
                columns * 2);
  }
  Tensor y(DType::kE4M3, {rows, columns});
  DeviceCall call;
  call.in(gate)
      .in(up)
      .in(output_scales(grouped.experts()))
      .in(grouped.offsets)
      .out(y)
      .run("cuda_grouped_swiglu");
  return y;
}

Tensor fused(const Grouped& grouped, std::string_view kernel, int64_t pitch) {
  Tensor y(DType::kE4M3, {grouped.rows(), grouped.n / 2});
  DeviceCall call;
  call.params(grouped.params).pitch(pitch).in(grouped.x).in(grouped.weight).in(grouped.input_scale);
  call.in(grouped.weight_scale).in(grouped.offsets).in(output_scales(grouped.experts())).out(y);
  call.run(kernel);
  return y;
}

struct Shape2 {
  int64_t n, k;
};

// Strided rows, halves with one scale or with their own, rows of nobody.
void expect_bytes_of_unfused(const std::vector<std::vector<int32_t>>& counts,
                             const std::vector<Shape2>& shapes, std::string_view linear_kernel,
                             std::string_view fused_kernel) {
  for (const std::vector<int32_t>& of_expert : counts) {
    for (const Shape2& shape : shapes) {
      for (const int segments : {1, 2}) {
        const Grouped grouped =
            make_grouped(DType::kE4M3, of_expert, 3, shape.n, shape.k, segments, false);
        const Tensor expected = unfused(grouped, linear_kernel);
        for (const int64_t pitch : {0, 16})
          expect_same_bytes(
              fused(grouped, fused_kernel, pitch), expected,
              fmt::format("{}, {} segments", describe(grouped, fused_kernel), segments));
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(GroupedLinearSwiglu, OfFewRowsGivesTheBytesOfTheUnfusedKernels) {
  OCTAVO_REQUIRE_DEVICE();
  expect_bytes_of_unfused({{1}, {0, 1, 0, 0}, {5, 0, 9, 1}, {0, 0}, {0, 0, 29}},
                          {{32, 16}, {96, 208}, {320, 1040}}, "cuda_grouped_linear_few_rows",
                          "cuda_grouped_linear_swiglu_few_rows");
}

TEST(GroupedLinearSwiglu, GivesTheBytesOfTheUnfusedKernels) {
  OCTAVO_REQUIRE_DEVICE();
  std::vector<std::vector<int32_t>> counts = row_counts();
  counts.insert(counts.end(), {{128, 0, 129}, {0, 300, 0, 1}});
  expect_bytes_of_unfused(counts, {{32, 16}, {544, 208}, {1056, 272}}, "cuda_grouped_linear_sm90",
                          "cuda_grouped_linear_swiglu");
}

Problem small_problem() {
  Problem problem{.op = Op::kGroupedLinearSwiglu, .params = LinearParams{{32, 32}}};
  problem.inputs = {{{32, 64}, DType::kE4M3, true}, {{4, 64, 64}, DType::kE4M3, true},
                    {{4}, DType::kF32, true},       {{8}, DType::kF32, true},
                    {{5}, DType::kI32, true},       {{4}, DType::kF32, true}};
  problem.outputs = {{{32, 32}, DType::kE4M3, true}};
  return problem;
}

TEST(GroupedLinearSwiglu, SaysWhatItCannotRun) {
  const Kernel& few = cuda_kernel("cuda_grouped_linear_swiglu_few_rows");
  const Kernel& many = cuda_kernel("cuda_grouped_linear_swiglu");
  const Problem problem = small_problem();
  EXPECT_TRUE(few.supports(problem).supported);
  EXPECT_TRUE(many.supports(problem).supported);
  Problem more = problem;
  more.inputs[0].shape[0] = 33;
  EXPECT_EQ(few.supports(more).reason, "33 rows, at most 32");
  EXPECT_TRUE(many.supports(more).supported);
  Problem plain = problem;
  plain.inputs[0].dtype = plain.inputs[1].dtype = DType::kBF16;
  for (const Kernel* kernel : {&few, &many})
    EXPECT_EQ(kernel->supports(plain).reason, "x that is not E4M3");
  Problem narrow = problem;
  narrow.inputs[1].shape[1] = 48;
  EXPECT_EQ(many.supports(narrow).reason, "24 outputs, not a multiple of 16");
  Problem experts = problem;  // each has two scales of the weight and one of y
  experts.inputs[1].shape[0] = 171;
  EXPECT_EQ(many.supports(experts).reason, "171 experts of 2 segments");
}

}  // namespace
}  // namespace octavo::testing
