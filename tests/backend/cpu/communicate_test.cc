// Calls of several ranks reach the communicator, and no other Program runs them.
// SPDX-License-Identifier: Apache-2.0
#include "ops/communicate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "backend/cpu/op_kernels.h"
#include "comm/local.h"
#include "numerics/bf16.h"

namespace octavo {
namespace {

struct Call {
  const Kernel& kernel;
  std::vector<TensorView> inputs, outputs;
  OpParams params;

  void run(Communicator* comm) const {
    ThreadPool pool(1);
    std::vector<std::byte> workspace(4096);
    kernel.run({inputs, outputs, &params}, {.pool = &pool, .workspace = workspace, .comm = comm});
  }
};

void on_two(const std::function<void(Communicator&)>& work, int64_t tp = 2, int64_t pp = 1) {
  LocalGroup group(tp, pp);
  std::thread other([&] { work(group.member(1)); });
  work(group.member(0));
  other.join();
}

TEST(Communicate, EachOpDoesWhatItsNameSays) {
  on_two([](Communicator& comm) {
    const Tensor x(DType::kF32, {2, 2}), sum(DType::kF32, {2, 2}), part(DType::kF32, {1, 2}),
        wide(DType::kF32, {2, 4});
    for (int i = 0; i < 4; ++i) x.as<float>()[i] = static_cast<float>(10 * comm.place().rank + i);
    const GroupParams columns{.ranks = 2}, rows{.ranks = 2, .by_rows = true};
    Call{kCpuAllReduce, {x.view()}, {sum.view()}, columns}.run(&comm);
    Call{kCpuReduceScatter, {x.view()}, {part.view()}, rows}.run(&comm);
    Call{kCpuAllGather, {x.view()}, {wide.view()}, columns}.run(&comm);
    EXPECT_EQ(sum.as<float>()[3], 16.0f);
    EXPECT_EQ(part.as<float>()[0], comm.place().rank == 0 ? 10.0f : 14.0f);
    EXPECT_EQ(wide.as<float>()[6], 12.0f);
  });
}

TEST(Communicate, ASumWithItsNormIsTheBytesOfBothCalls) {
  on_two([](Communicator& comm) {
    constexpr int64_t kRows = 3, kColumns = 40;
    const Tensor x(DType::kBF16, {kRows, kColumns}), residual(DType::kBF16, {kRows, kColumns}),
        weight(DType::kBF16, {kColumns}), scale(DType::kF32, {1}), total(DType::kBF16, x.shape());
    for (int64_t i = 0; i < kRows * kColumns; ++i) {
      const auto angle = static_cast<float>(i + 100 * comm.place().rank);
      x.as<bf16>()[i] = to_bf16(std::sin(angle));
      residual.as<bf16>()[i] = to_bf16(std::cos(static_cast<float>(i)));
      weight.as<bf16>()[i % kColumns] = to_bf16(1.0f + 0.01f * static_cast<float>(i % 7));
    }
    scale.as<float>()[0] = 0.01f;
    const Tensor sum(DType::kBF16, x.shape()), y(DType::kE4M3, x.shape());
    const Tensor fused_sum(DType::kBF16, x.shape()), fused_y(DType::kE4M3, x.shape());
    Call{kCpuAllReduce, {x.view()}, {total.view()}, GroupParams{.ranks = 2}}.run(&comm);
    Call{kCpuAddRmsNorm,
         {total.view(), residual.view(), weight.view(), scale.view()},
         {sum.view(), y.view()},
         RmsNormParams{}}
        .run(&comm);
    Call{kCpuAllReduceAddRmsNorm,
         {x.view(), residual.view(), weight.view(), scale.view()},
         {fused_sum.view(), fused_y.view()},
         ReduceNormParams{.ranks = 2}}
        .run(&comm);
    EXPECT_EQ(std::memcmp(sum.data(), fused_sum.data(), static_cast<size_t>(sum.bytes())), 0);
    EXPECT_EQ(std::memcmp(y.data(), fused_y.data(), static_cast<size_t>(y.bytes())), 0);
  });
}

// Three rows on two ranks: the last one has one row less than its share. The residual is whole in
// the first call of a chain, and the rank's own rows in those behind it.
TEST(Communicate, AShardedSumHasTheBytesOfTheWholeOne) {
  on_two([](Communicator& comm) {
    constexpr int64_t kRows = 3, kColumns = 40, kEach = 2;
    const int64_t own = comm.place().rank == 0 ? 2 : 1;
    const Tensor x(DType::kBF16, {kRows, kColumns}), residual(DType::kBF16, {kRows, kColumns}),
        weight(DType::kBF16, {kColumns}), scale(DType::kF32, {1});
    for (int64_t i = 0; i < kRows * kColumns; ++i) {
      x.as<bf16>()[i] = to_bf16(std::sin(static_cast<float>(i + 100 * comm.place().rank)));
      residual.as<bf16>()[i] = to_bf16(std::cos(static_cast<float>(i)));
      weight.as<bf16>()[i % kColumns] = to_bf16(1.0f + 0.01f * static_cast<float>(i % 7));
    }
    scale.as<float>()[0] = 0.01f;
    const Tensor sum(DType::kBF16, x.shape()), y(DType::kE4M3, x.shape()),
        own_sum(DType::kBF16, {kEach, kColumns}), all_y(DType::kE4M3, x.shape());
    TensorView own_residual(residual.data() + comm.place().rank * kEach * kColumns * 2,
                            DType::kBF16, {kEach, kColumns});
    const auto run = [&](const TensorView& from, const TensorView& to, const Tensor& normed,
                         bool sharded) {
      Call{kCpuAllReduceAddRmsNorm,
           {x.view(), from, weight.view(), scale.view()},
           {to, normed.view()},
           ReduceNormParams{.ranks = 2, .sharded = sharded}}
          .run(&comm);
    };
    run(residual.view(), sum.view(), y, false);
    for (const TensorView& from : {residual.view(), own_residual}) {
      std::memset(own_sum.data(), 0, static_cast<size_t>(own_sum.bytes()));
      std::memset(all_y.data(), 0, static_cast<size_t>(all_y.bytes()));
      run(from, own_sum.view(), all_y, true);
      const std::byte* const expected = sum.data() + comm.place().rank * kEach * kColumns * 2;
      EXPECT_EQ(std::memcmp(own_sum.data(), expected, static_cast<size_t>(own * kColumns * 2)), 0);
      EXPECT_EQ(std::memcmp(all_y.data(), y.data(), static_cast<size_t>(y.bytes())), 0);
    }
  });
}

TEST(Communicate, SendArrivesAtRecv) {
  on_two(
      [](Communicator& comm) {
        const Tensor x(DType::kF32, {1, 2});
        if (comm.place().rank == 0) {
          x.as<float>()[1] = 3.0f;
          Call{kCpuSend, {x.view()}, {}, {}}.run(&comm);
        } else {
          Call{kCpuRecv, {}, {x.view()}, RecvParams{2}}.run(&comm);
          EXPECT_EQ(x.as<float>()[1], 3.0f);
        }
      },
      1, 2);
}

TEST(Communicate, RefusesToRunAloneOrInAnotherGroup) {
  const Tensor x(DType::kF32, {1, 2}), y(DType::kF32, {1, 2});
  const Call call{kCpuAllReduce, {x.view()}, {y.view()}, GroupParams{.ranks = 4}};
  EXPECT_THROW(call.run(nullptr), Error);
  LocalGroup group(2, 1);
  EXPECT_THROW(call.run(&group.member(0)), Error);
}

// The parts of an embedding sum to the row that the whole table holds, −0 included.
TEST(Communicate, PartsOfAnEmbeddingSumToTheWholeBitForBit) {
  const float table[] = {1.0f, -0.0f, -0.0f, 2.5f, 0.0f, -3.0f, -0.0f, 0.25f};  // [4, 2]
  const int32_t ids[] = {3, 0, 2, 1};
  on_two([&](Communicator& comm) {
    const int64_t first = 2 * comm.place().rank;
    const Tensor part(DType::kF32, {4, 2}), y(DType::kF32, {4, 2});
    const TensorView rows(const_cast<float*>(table + 2 * first), DType::kF32, {2, 2});
    const TensorView id(const_cast<int32_t*>(ids), DType::kI32, {4});
    Call{kCpuEmbedding, {id, rows}, {part.view()}, EmbeddingParams{first}}.run(nullptr);
    Call{kCpuAllReduce, {part.view()}, {y.view()}, GroupParams{.ranks = 2}}.run(&comm);
    for (int i = 0; i < 8; ++i) {
      const float expected = table[2 * ids[i / 2] + i % 2];
      EXPECT_EQ(y.as<float>()[i], expected);
      EXPECT_EQ(std::signbit(y.as<float>()[i]), std::signbit(expected)) << i;
    }
  });
}

}  // namespace
}  // namespace octavo
