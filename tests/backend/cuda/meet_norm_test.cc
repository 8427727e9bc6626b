// Sums of many rows with the norm behind them, pulled and sharded, give the bytes of the separate
// calls on every rank.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/meet_norm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cuda/peer_case.h"
#include "ops/communicate.h"

namespace octavo::testing {
namespace {

using cuda::row_share;
using cuda::RowShare;
using Memory = std::shared_ptr<std::byte[]>;

// One rank's operands and results.
struct Operand {
  Memory x, total, residual, weight, scale, sum, y, other_sum, other_y;
};

class PeerMeetNorm : public PeersTest {
 protected:
  void place(Shape shape, DType y_dtype) {
    shape_ = shape;
    y_dtype_ = y_dtype;
    own_.clear();
    const std::vector<Tensor> x = inputs(DType::kBF16, shape, 53);
    Values values(11);
    const Tensor residual = values.normal(DType::kBF16, shape);
    const Tensor weight = values.normal(DType::kBF16, {shape[1]});
    const Tensor scale = scalar(0.02f), rows(DType::kBF16, shape), y(y_dtype, shape);
    std::memset(rows.data(), 0x7A, static_cast<size_t>(rows.bytes()));
    std::memset(y.data(), 0x7A, static_cast<size_t>(y.bytes()));
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      const auto put = [&](const Tensor& tensor) { return group_->place(rank, tensor); };
      own_.push_back({put(x[rank]), put(rows), put(residual), put(weight), put(scale), put(rows),
                      put(y), put(rows), put(y)});
    }
  }

  TensorView rows(const Memory& at, DType dtype = DType::kBF16) const {
    return TensorView(at.get(), dtype, shape_);
  }
  RowShare share_of(int64_t rank) const {
    return row_share(shape_[0], static_cast<int>(GetParam()), static_cast<int>(rank));
  }
  // What a rank keeps of a sum.
  TensorView share(const Memory& at) const {
    return TensorView(at.get(), DType::kBF16, {share_of(0).rows, shape_[1]});
  }

  void run(int64_t rank, std::string_view name, std::vector<TensorView> in,
           std::vector<TensorView> out, const OpParams& params, std::string_view tactic = "") {
    cuda_kernel(name).run(
        {in, out, &params},
        {.stream = group_->device(rank).stream(), .tactic = tactic, .comm = &group_->comm(rank)});
  }
  // The oracle: all_reduce, then add_rms_norm.
  void run_separately(int64_t rank) {
    const Operand& own = own_[static_cast<size_t>(rank)];
    run(rank, "cuda_all_reduce", {rows(own.x)}, {rows(own.total)},
        GroupParams{.ranks = GetParam()});
    run(rank, "cuda_add_rms_norm", {rows(own.total), rows(own.residual), weight(own), scale(own)},
        {rows(own.sum), rows(own.y, y_dtype_)}, RmsNormParams{});
  }
  TensorView weight(const Operand& own) const {
    return TensorView(own.weight.get(), DType::kBF16, {shape_[1]});
  }
  TensorView scale(const Operand& own) const {
    if (y_dtype_ != DType::kE4M3) return {};
    return TensorView(own.scale.get(), DType::kF32, {1});
  }

  // Rows [first, first + count) of what a rank has at both places.
  void expect_same(int64_t rank, const Memory& got, int64_t got_first, const Memory& expected,
                   int64_t first, int64_t count, DType dtype, const char* what) {
    Tensor a(dtype, shape_), b(dtype, shape_);
    group_->fetch(rank, a, got);
    group_->fetch(rank, b, expected);
    const int64_t row_bytes = shape_[1] * size_of(dtype);
    EXPECT_EQ(std::memcmp(a.data() + got_first * row_bytes, b.data() + first * row_bytes,
                          static_cast<size_t>(count * row_bytes)),
              0)
        << what << " of rank " << rank << ", " << to_string(shape_);
  }

  Shape shape_;
  DType y_dtype_ = DType::kE4M3;
  std::vector<Operand> own_;
};

const Shape kShapes[] = {{1, 8192},   {2, 256},    {5, 512},  {64, 8192},
                         {131, 4096}, {300, 1024}, {7, 16384}};

TEST_P(PeerMeetNorm, PulledIsAllReduceThenAddRmsNorm) {
  for (const Shape& shape : kShapes) {
    for (const DType y_dtype : {DType::kE4M3, DType::kBF16}) {
      place(shape, y_dtype);
      group_->on_all([&](int64_t rank) {
        const Operand& own = own_[static_cast<size_t>(rank)];
        run_separately(rank);
        run(rank, "cuda_all_reduce_add_rms_norm",
            {rows(own.x), rows(own.residual), weight(own), scale(own)},
            {rows(own.other_sum), rows(own.other_y, y_dtype)},
            ReduceNormParams{.ranks = GetParam(), .user_buffer = true}, "pull");
        // Nobody's x may be overwritten before all have begun a later exchange.
        run(rank, "cuda_all_reduce", {rows(own.x)}, {rows(own.total)},
            GroupParams{.ranks = GetParam()});
      });
      for (int64_t rank = 0; rank < GetParam(); ++rank) {
        group_->comm(rank).check();
        const Operand& own = own_[static_cast<size_t>(rank)];
        expect_same(rank, own.other_sum, 0, own.sum, 0, shape[0], DType::kBF16, "sum");
        expect_same(rank, own.other_y, 0, own.y, 0, shape[0], y_dtype, "y");
      }
    }
  }
}

// A chain of two: the first reads its rows of the whole residual, the second those that it kept.
TEST_P(PeerMeetNorm, ShardedIsAllReduceThenAddRmsNorm) {
  for (const Shape& shape : kShapes) {
    for (const DType y_dtype : {DType::kE4M3, DType::kBF16}) {
      place(shape, y_dtype);
      const ReduceNormParams sharded{.ranks = GetParam(), .sharded = true};
      group_->on_all([&](int64_t rank) {
        const Operand& own = own_[static_cast<size_t>(rank)];
        run_separately(rank);
        run(rank, "cuda_all_reduce_add_rms_norm",
            {rows(own.x), rows(own.residual), weight(own), scale(own)},
            {share(own.other_sum), rows(own.other_y, y_dtype)}, sharded);
      });
      for (int64_t rank = 0; rank < GetParam(); ++rank) {
        group_->comm(rank).check();
        const Operand& own = own_[static_cast<size_t>(rank)];
        const RowShare mine = share_of(rank);
        expect_same(rank, own.other_sum, 0, own.sum, mine.first, mine.rows, DType::kBF16, "sum");
        expect_same(rank, own.other_y, 0, own.y, 0, shape[0], y_dtype, "y");
      }
      group_->on_all([&](int64_t rank) {
        const Operand& own = own_[static_cast<size_t>(rank)];
        run(rank, "cuda_all_reduce", {rows(own.x)}, {rows(own.total)},
            GroupParams{.ranks = GetParam()});
        run(rank, "cuda_add_rms_norm", {rows(own.total), rows(own.sum), weight(own), scale(own)},
            {rows(own.residual), rows(own.y, y_dtype)}, RmsNormParams{});
        run(rank, "cuda_all_reduce_add_rms_norm",
            {rows(own.x), share(own.other_sum), weight(own), scale(own)},
            {share(own.total), rows(own.other_y, y_dtype)}, sharded);
      });
      for (int64_t rank = 0; rank < GetParam(); ++rank) {
        const Operand& own = own_[static_cast<size_t>(rank)];
        const RowShare mine = share_of(rank);
        expect_same(rank, own.total, 0, own.residual, mine.first, mine.rows, DType::kBF16, "sum");
        expect_same(rank, own.other_y, 0, own.y, 0, shape[0], y_dtype, "y");
      }
    }
  }
}

TEST_P(PeerMeetNorm, RowsThatNoGroupHoldsAreRefusedWhereSharded) {
  Problem problem{.op = Op::kAllReduceAddRmsNorm,
                  .params = ReduceNormParams{.ranks = 2, .sharded = true}};
  const auto verdict = [&](int64_t width, DType dtype) {
    const Problem::Operand matrix{{4, width}, dtype, true}, own{{2, width}, dtype, true};
    problem.inputs = {matrix, own, {{width}, dtype, true}, {}};
    problem.outputs = {own, matrix};
    return cuda_kernel("cuda_all_reduce_add_rms_norm").supports(problem).supported;
  };
  EXPECT_TRUE(verdict(8192, DType::kBF16));
  EXPECT_TRUE(verdict(16384, DType::kBF16));
  EXPECT_FALSE(verdict(8192, DType::kF32));
  EXPECT_FALSE(verdict(333, DType::kBF16));
  EXPECT_FALSE(verdict(16392, DType::kBF16));
}

TEST(PeerMeetNormFaults, ARankThatDoesNotComeEndsTheOthersCalls) {
  OCTAVO_REQUIRE_DEVICE();
  for (const bool sharded : {false, true}) {
    const PeerCase group(
        PeerGroupOptions{.tp_size = 2, .stall_limit = std::chrono::milliseconds(300)});
    group.on_all([&](int64_t rank) {  // returns: nobody waits for ever
      if (rank == 1) return;
      const Tensor zeros(DType::kBF16, {1, 256});
      const Memory x = group.place(0, zeros), residual = group.place(0, zeros),
                   weight = group.place(0, zeros), sum = group.place(0, zeros),
                   y = group.place(0, zeros);
      const auto row = [](const Memory& at) {
        return TensorView(at.get(), DType::kBF16, {1, 256});
      };
      const std::vector<TensorView> in = {
          row(x), row(residual), TensorView(weight.get(), DType::kBF16, {256}), {}};
      const std::vector<TensorView> out = {row(sum), row(y)};
      const OpParams params =
          ReduceNormParams{.ranks = 2, .sharded = sharded, .user_buffer = !sharded};
      cuda_kernel("cuda_all_reduce_add_rms_norm")
          .run({in, out, &params}, {.stream = group.device(0).stream(),
                                    .tactic = sharded ? "" : "pull",
                                    .comm = &group.comm(0)});
    });
    try {
      group.comm(1).check();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("rank 1 stalled: rank 0 waited 300 ms"));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, PeerMeetNorm, ::testing::Values(2, 4),
                         [](const auto& info) { return fmt::format("{}", info.param); });

}  // namespace
}  // namespace octavo::testing
