// Linears of experts on the device: every distribution of rows, exact sums and bounds.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/grouped_linear.h"

#include "backend/cuda/device_case.h"
#include "backend/cuda/grouped_case.h"
#include "ops/block_linear_cases.h"

namespace octavo::testing {
namespace {

constexpr double kUnit = 0x1p-24;

// Every scheme of scales and every type of codes.
TEST(GroupedReference, GridLiesWithinItsIntervals) {
  OCTAVO_REQUIRE_DEVICE();
  expect_within_intervals("cuda_grouped_linear_reference", testing_ops::grouped_linear_cases());
  expect_within_intervals("cuda_grouped_linear_reference", testing_ops::grouped_block_cases());
}

class GroupedStream : public ::testing::TestWithParam<DType> {};

TEST_P(GroupedStream, IsExactForEveryDistributionOfRows) {
  OCTAVO_REQUIRE_DEVICE();
  for (const std::vector<int32_t>& counts : row_counts()) {
    for (const int64_t nobodys : {0, 3}) {
      for (const auto& [n, k] :
           std::vector<std::pair<int64_t, int64_t>>{{16, 16}, {35, 208}, {176, 528}, {40, 4112}}) {
        const int segments = n == 176 ? 2 : 1;
        const Grouped grouped = make_grouped(GetParam(), counts, nobodys, n, k, segments, true);
        const GroupedExpected expected = oracle(grouped);
        for (const DType y : {DType::kBF16, DType::kF32}) {
          for (const int64_t pitch : {0, 16})
            expect_exact(grouped, expected,
                         run_grouped(grouped, "cuda_grouped_linear_stream", y, pitch), "stream");
        }
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

// Products of codes are exact, sums are in float32, each step within two units of the largest
// partial sum: it is cut off, not rounded.
TEST_P(GroupedStream, LiesWithinItsBound) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t k : {256, 2048}) {
    const Grouped grouped = make_grouped(GetParam(), {5, 0, 19, 1}, 2, 96, k, 2, false);
    const double unit = (2.0 * static_cast<double>(k) + 3) * kUnit;
    expect_within(grouped, oracle(grouped),
                  run_grouped(grouped, "cuda_grouped_linear_stream", DType::kF32), unit, "stream");
  }
}

// A row's bytes depend neither on the other rows nor on how many go through at a time.
TEST_P(GroupedStream, RowsAreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  const Grouped all = make_grouped(GetParam(), {0, 40, 3}, 0, 80, 1040, 1, false);
  const Tensor y = run_grouped(all, "cuda_grouped_linear_stream", DType::kBF16);
  for (const int32_t count : {1, 7, 9, 31}) {
    Grouped some = make_grouped(GetParam(), {0, 40, 3}, 0, 80, 1040, 1, false);
    some.counts = {0, count, 0};
    some.offsets = vector_of(DType::kI32, std::vector<int32_t>{0, 0, count, count});
    some.x = Tensor(GetParam(), {count, some.k});
    std::memcpy(some.x.data(), all.x.data(), some.x.bytes());
    const Tensor part = run_grouped(some, "cuda_grouped_linear_stream", DType::kBF16);
    EXPECT_EQ(std::memcmp(part.data(), y.data(), part.bytes()), 0) << count;
  }
}

TEST_P(GroupedStream, RowsThatAreNotAlignedTakeTheReference) {
  OCTAVO_REQUIRE_DEVICE();
  const Grouped grouped = make_grouped(GetParam(), {3, 0, 2}, 1, 24, 64, 1, true);
  expect_exact(grouped, oracle(grouped),
               run_grouped(grouped, "cuda_grouped_linear_stream", DType::kBF16, 3), "stream");
}

INSTANTIATE_TEST_SUITE_P(Types, GroupedStream, ::testing::Values(DType::kE4M3, DType::kBF16));

// What a plan is told: the rows of all experts together, and what cannot be run by name.
TEST(GroupedLinear, SupportsHaveReasons) {
  Problem problem{.op = Op::kGroupedLinear, .params = LinearParams{}};
  problem.inputs = {{{32, 64}, DType::kE4M3, true},
                    {{4, 48, 64}, DType::kE4M3, true},
                    {{4}, DType::kF32, true},
                    {{4}, DType::kF32, true},
                    {{5}, DType::kI32, true}};
  problem.outputs = {{{32, 48}, DType::kBF16, true}};
  const Kernel& few = cuda_kernel("cuda_grouped_linear_few_rows");
  const Kernel& stream = cuda_kernel("cuda_grouped_linear_stream");
  EXPECT_TRUE(few.supports(problem).supported);
  Problem more = problem;
  more.inputs[0].shape[0] = 33;
  EXPECT_EQ(few.supports(more).reason, "33 rows, at most 32");
  EXPECT_TRUE(stream.supports(more).supported);
  Problem odd = problem;
  odd.inputs[0].shape[1] = 40;
  EXPECT_EQ(stream.supports(odd).reason, "rows of 40 bytes, not a multiple of 16");
  Problem blocks = problem;
  blocks.params = LinearParams{.block_rows = 128, .block_columns = 128};
  EXPECT_EQ(stream.supports(blocks).reason, "scales by parts of K");
  Problem integers = problem;
  integers.inputs[0].dtype = DType::kBF16;
  integers.inputs[1].dtype = DType::kI4x2;
  EXPECT_FALSE(stream.supports(integers).supported);
  EXPECT_TRUE(cuda_kernel("cuda_grouped_linear_reference").supports(integers).supported);
}

}  // namespace
}  // namespace octavo::testing
