// All-reduce with add, norm and quantize gives the bytes of the calls that it stands for.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/reduce_norm.h"

#include <gtest/gtest.h>

#include "backend/cuda/peer_case.h"
#include "ops/communicate.h"

namespace octavo::testing {
namespace {

class PeerReduceNorm : public PeersTest {
 protected:
  struct Memory {
    std::shared_ptr<std::byte[]> x, total, residual, weight, scale, sum, y, fused_sum, fused_y;
  };

  // Runs both on every rank and compares what each wrote.
  void expect_equal(Shape shape, DType y_dtype) {
    const std::vector<Tensor> x = inputs(DType::kBF16, shape, 31);
    Values values(7);
    const Tensor residual = values.normal(DType::kBF16, shape);
    const Tensor weight = values.normal(DType::kBF16, {shape[1]});
    const Tensor scale = scalar(0.02f);
    const Tensor sum(DType::kBF16, shape), y(y_dtype, shape);
    std::vector<Memory> memory;
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      const auto put = [&](const Tensor& tensor) { return group_->place(rank, tensor); };
      memory.push_back({put(x[rank]), put(x[rank]), put(residual), put(weight), put(scale),
                        put(sum), put(y), put(sum), put(y)});
    }
    group_->on_all([&](int64_t rank) {
      const Memory& own = memory[rank];
      const LaunchContext context{.stream = group_->device(rank).stream(),
                                  .comm = &group_->comm(rank)};
      const auto rows = [&](const std::shared_ptr<std::byte[]>& at, DType dtype = DType::kBF16) {
        return TensorView(at.get(), dtype, shape);
      };
      const TensorView norm_weight(own.weight.get(), DType::kBF16, {shape[1]});
      const TensorView y_scale =
          y_dtype == DType::kE4M3 ? TensorView(own.scale.get(), DType::kF32, {1}) : TensorView();
      const auto run = [&](std::string_view name, std::vector<TensorView> in,
                           std::vector<TensorView> out, const OpParams& params) {
        cuda_kernel(name).run({in, out, &params}, context);
      };
      const int64_t ranks = GetParam();
      run("cuda_all_reduce", {rows(own.x)}, {rows(own.total)}, GroupParams{.ranks = ranks});
      run("cuda_add_rms_norm", {rows(own.total), rows(own.residual), norm_weight, y_scale},
          {rows(own.sum), rows(own.y, y_dtype)}, RmsNormParams{});
      run("cuda_all_reduce_add_rms_norm", {rows(own.x), rows(own.residual), norm_weight, y_scale},
          {rows(own.fused_sum), rows(own.fused_y, y_dtype)}, ReduceNormParams{.ranks = ranks});
    });
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      group_->comm(rank).check();
      Tensor got(DType::kBF16, shape), expected(DType::kBF16, shape);
      group_->fetch(rank, got, memory[rank].fused_sum);
      group_->fetch(rank, expected, memory[rank].sum);
      expect_same_bytes(got, expected, "sum");
      Tensor got_y(y_dtype, shape), expected_y(y_dtype, shape);
      group_->fetch(rank, got_y, memory[rank].fused_y);
      group_->fetch(rank, expected_y, memory[rank].y);
      expect_same_bytes(got_y, expected_y, "y");
    }
  }
};

// One kernel up to 64 KB; more rows, and rows of odd length, by two.
TEST_P(PeerReduceNorm, IsAllReduceThenAddRmsNorm) {
  for (const Shape& shape : {Shape{1, 8192}, Shape{3, 8192}, Shape{9, 8192}, Shape{7, 512},
                             Shape{16, 1000}, Shape{5, 333}, Shape{2, 16384}}) {
    expect_equal(shape, DType::kE4M3);
    expect_equal(shape, DType::kBF16);
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, PeerReduceNorm, ::testing::Values(2, 4),
                         [](const auto& info) { return fmt::format("{}", info.param); });

}  // namespace
}  // namespace octavo::testing
