// The FP8 linear of experts for many rows, in both widths of its tiles.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/sm90_grouped_gemm.h"

#include "backend/cuda/grouped_case.h"

namespace octavo::testing {
namespace {

// Operands on the device; y lies between guards and starts as NaN.
class ExpertProduct {
 public:
  explicit ExpertProduct(const Grouped& grouped)
      : grouped_(grouped),
        x_(grouped.x.bytes()),
        weight_(grouped.weight.bytes()),
        input_scale_(grouped.input_scale.bytes()),
        weight_scale_(grouped.weight_scale.bytes()),
        offsets_(grouped.offsets.bytes()) {
    upload(x_, grouped.x);
    upload(weight_, grouped.weight);
    upload(input_scale_, grouped.input_scale);
    upload(weight_scale_, grouped.weight_scale);
    upload(offsets_, grouped.offsets);
  }

  Tensor run(int columns) const {
    Tensor y(DType::kBF16, {grouped_.rows(), grouped_.n});
    const DeviceBuffer buffer(y.bytes());
    cuda::ExpertGemm experts = {
        .gemm = {.x = reinterpret_cast<const uint8_t*>(x_.data()),
                 .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
                 .input_scale = reinterpret_cast<const float*>(input_scale_.data()),
                 .weight_scale = reinterpret_cast<const float*>(weight_scale_.data()),
                 .y = buffer.data(),
                 .x_stride = grouped_.k,
                 .weight_stride = grouped_.k,
                 .y_stride = grouped_.n,
                 .m = static_cast<int>(grouped_.rows()),
                 .n = static_cast<int>(grouped_.n),
                 .k = static_cast<int>(grouped_.k)},
        .offsets = reinterpret_cast<const int32_t*>(offsets_.data()),
        .experts = static_cast<int>(grouped_.experts())};
    cuda::LargeGemm& gemm = experts.gemm;
    int64_t end = 0;
    for (const int64_t rows : grouped_.params.segment_rows)
      gemm.segment_end[gemm.segments++] = static_cast<int>(end += rows);
    if (gemm.segments == 0) gemm.segment_end[gemm.segments++] = gemm.n;
    cuda::launch_expert_gemm(experts, columns, {});
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), buffer.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(buffer.guards_intact()) << columns;
    return y;
  }

 private:
  static void upload(const DeviceBuffer& to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to.data(), from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }

  const Grouped& grouped_;
  DeviceBuffer x_, weight_, input_scale_, weight_scale_, offsets_;
};

class GroupedSm90 : public ::testing::TestWithParam<int> {};  // columns of a tile

TEST_P(GroupedSm90, IsExactForEveryDistributionOfRows) {
  OCTAVO_REQUIRE_DEVICE();
  std::vector<std::vector<int32_t>> counts = row_counts();
  counts.insert(counts.end(), {{128, 0, 129}, {0, 700, 0, 1}, {255, 256, 257, 0}});
  for (const std::vector<int32_t>& of_expert : counts) {
    for (const auto& [n, k] :
         std::vector<std::pair<int64_t, int64_t>>{{8, 16}, {296, 208}, {544, 80}, {600, 1040}}) {
      const Grouped grouped =
          make_grouped(DType::kE4M3, of_expert, k == 80 ? 5 : 0, n, k, n == 544 ? 2 : 1, true);
      if (grouped.rows() == 0) continue;  // TMA has no empty tensors; the kernel's run returns
      expect_exact(grouped, oracle(grouped), ExpertProduct(grouped).run(GetParam()), "sm90");
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// More tiles than clusters.
TEST_P(GroupedSm90, LiesWithinItsBound) {
  OCTAVO_REQUIRE_DEVICE();
  const Grouped grouped = make_grouped(DType::kE4M3, {300, 0, 190, 1, 64}, 7, 1056, 528, 2, false);
  // Sums keep 13 bits below their largest addend: a step of 32 codes at a time, and the last two.
  const double unit = (static_cast<double>(grouped.k) / 32 + 2) * 0x1p-13;
  expect_within(grouped, oracle(grouped), ExpertProduct(grouped).run(GetParam()), unit, "sm90");
}

INSTANTIATE_TEST_SUITE_P(Columns, GroupedSm90, ::testing::Values(128, 256));

// A row's bytes depend neither on the cut nor on the rows beside it.
TEST(GroupedSm90Kernel, RowsAreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  const Grouped all = make_grouped(DType::kE4M3, {0, 300, 40}, 0, 520, 1040, 1, false);
  const Tensor y = ExpertProduct(all).run(256);
  expect_same_bytes(ExpertProduct(all).run(128), y, "128 columns");
  for (const int32_t count : {1, 64, 130}) {
    Grouped some = make_grouped(DType::kE4M3, {0, 300, 40}, 0, 520, 1040, 1, false);
    some.counts = {0, count, 0};
    some.offsets = vector_of(DType::kI32, std::vector<int32_t>{0, 0, count, count});
    some.x = Tensor(DType::kE4M3, {count, some.k});
    std::memcpy(some.x.data(), all.x.data(), some.x.bytes());
    const Tensor part = ExpertProduct(some).run(256);
    EXPECT_EQ(std::memcmp(part.data(), y.data(), part.bytes()), 0) << count;
  }
}

// The kernel as plans call it: strided rows, and rows of nobody alone.
TEST(GroupedSm90Kernel, RunsAsAKernel) {
  OCTAVO_REQUIRE_DEVICE();
  for (const std::vector<int32_t>& counts : row_counts()) {
    const Grouped grouped = make_grouped(DType::kE4M3, counts, 4, 176, 208, 2, true);
    expect_exact(grouped, oracle(grouped),
                 run_grouped(grouped, "cuda_grouped_linear_sm90", DType::kBF16, 16), "sm90");
  }
}

TEST(GroupedSm90Kernel, SupportsHaveReasons) {
  const Kernel& kernel = cuda_kernel("cuda_grouped_linear_sm90");
  Problem problem{.op = Op::kGroupedLinear, .params = LinearParams{{32, 16}}};
  problem.inputs = {{{4096, 64}, DType::kE4M3, true},
                    {{4, 48, 64}, DType::kE4M3, true},
                    {{4}, DType::kF32, true},
                    {{8}, DType::kF32, true},
                    {{5}, DType::kI32, true}};
  problem.outputs = {{{4096, 48}, DType::kBF16, true}};
  EXPECT_TRUE(kernel.supports(problem).supported);
  Problem by_row = problem;
  by_row.inputs[2].shape = {4096, 1};
  EXPECT_EQ(kernel.supports(by_row).reason, "input scales made at run time");
  Problem by_block = problem;
  by_block.params = LinearParams{.block_rows = 1};
  EXPECT_EQ(kernel.supports(by_block).reason, "weight scales by block");
  Problem many = problem;
  many.inputs[1].shape[0] = 300;
  EXPECT_EQ(kernel.supports(many).reason, "300 experts of 2 segments");
  Problem wide = problem;
  wide.outputs[0].dtype = DType::kF32;
  EXPECT_EQ(kernel.supports(wide).reason, "y that is not bfloat16");
}

TEST(GroupedSm90Kernel, WidthLeavesFewMultiprocessorsIdle) {
  EXPECT_EQ(cuda::expert_gemm_columns(4096, 8, 28672, 132), 256);
  EXPECT_EQ(cuda::expert_gemm_columns(4096, 8, 4096, 132), 256);
  EXPECT_EQ(cuda::expert_gemm_columns(16, 8, 1024, 132), 128);  // 16 tiles of 256 on 66 clusters
}

}  // namespace
}  // namespace octavo::testing
