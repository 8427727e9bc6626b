// Ranks as threads: exact sums, what moves arrives, and no failure leaves anyone waiting.
// SPDX-License-Identifier: Apache-2.0
#include "comm/local.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

#include "numerics/bf16.h"

namespace octavo {
namespace {

using testing::HasSubstr;
using Axis = Communicator::Axis;
constexpr std::chrono::milliseconds kSoon{200};

// Runs `work` as every rank at once and returns what each of them threw.
std::vector<std::string> on_all(LocalGroup& group, const std::function<void(Communicator&)>& work) {
  std::vector<std::string> errors(static_cast<size_t>(group.ranks()));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < group.ranks(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(group.member(rank));
      } catch (const Error& error) {
        errors[static_cast<size_t>(rank)] = error.what();
        group.fail(rank, error.what());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

const std::vector<std::string> kNoErrors4(4);

// A matrix of this rank with values that do not sum exactly.
Tensor random_matrix(int64_t rank, Shape shape, DType dtype = DType::kF32) {
  Tensor x(dtype, shape);
  std::mt19937 random(static_cast<unsigned>(100 + rank));
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const float value = normal(random);
    if (dtype == DType::kF32) x.as<float>()[i] = value;
    if (dtype == DType::kBF16) x.as<bf16>()[i] = to_bf16(value);
  }
  return x;
}

float element(const Tensor& x, int64_t i) {
  return x.dtype() == DType::kF32 ? x.as<float>()[i] : to_float(x.as<bf16>()[i]);
}

// ((x0 + x1) + x2) + x3 in float32.
float sum_of(const std::vector<Tensor>& x, int64_t i) {
  float sum = element(x[0], i);
  for (size_t rank = 1; rank < x.size(); ++rank) sum += element(x[rank], i);
  return sum;
}

class LocalGroupTest : public testing::TestWithParam<DType> {
 protected:
  LocalGroupTest() {
    for (int64_t rank = 0; rank < 4; ++rank) {
      x_.push_back(random_matrix(rank, {5, 12}, GetParam()));
      y_.emplace_back(GetParam(), Shape{5, 12});
    }
  }
  static size_t at(const Communicator& comm) { return static_cast<size_t>(comm.place().rank); }
  float rounded(float value) const {
    return GetParam() == DType::kF32 ? value : to_float(to_bf16(value));
  }

  LocalGroup group_{4, 1};
  std::vector<Tensor> x_, y_;
};

TEST_P(LocalGroupTest, AllReduceSumsInTheOrderOfRanksAndGivesAllTheSameBytes) {
  for (int repeat = 0; repeat < 50; ++repeat) {
    ASSERT_EQ(on_all(group_,
                     [&](Communicator& comm) {
                       comm.all_reduce(x_[at(comm)].view(), y_[at(comm)].view());
                     }),
              kNoErrors4);
    for (int64_t i = 0; i < 60; ++i) EXPECT_EQ(element(y_[0], i), rounded(sum_of(x_, i)));
    for (const Tensor& y : y_) EXPECT_EQ(std::memcmp(y.data(), y_[0].data(), y.bytes()), 0);
  }
}

TEST_P(LocalGroupTest, ReduceScatterGivesEachItsPartOfThatSum) {
  std::vector<Tensor> rows, columns;
  for (int rank = 0; rank < 4; ++rank) {
    rows.emplace_back(GetParam(), Shape{2, 12});  // ceil(5 / 4)
    columns.emplace_back(GetParam(), Shape{5, 3});
  }
  ASSERT_EQ(on_all(group_,
                   [&](Communicator& comm) {
                     const TensorView x = x_[at(comm)].view();
                     comm.reduce_scatter(x, rows[at(comm)].view(), Axis::kRows);
                     comm.reduce_scatter(x, columns[at(comm)].view(), Axis::kColumns);
                   }),
            kNoErrors4);
  for (int64_t row = 0; row < 8; ++row) {
    for (int64_t column = 0; column < 12; ++column) {
      const Tensor& part = rows[static_cast<size_t>(row / 2)];
      const float expected = row < 5 ? rounded(sum_of(x_, row * 12 + column)) : 0.0f;
      EXPECT_EQ(element(part, row % 2 * 12 + column), expected);
      if (row >= 5) continue;
      EXPECT_EQ(element(columns[static_cast<size_t>(column / 3)], row * 3 + column % 3), expected);
    }
  }
}

TEST_P(LocalGroupTest, AllGatherPutsColumnsOrRowsTogether) {
  std::vector<Tensor> wide, tall;
  for (int rank = 0; rank < 4; ++rank) {
    wide.emplace_back(GetParam(), Shape{5, 48});
    tall.emplace_back(GetParam(), Shape{18, 12});  // of 4 × 5 rows the last two are left out
  }
  ASSERT_EQ(on_all(group_,
                   [&](Communicator& comm) {
                     const TensorView x = x_[at(comm)].view();
                     comm.all_gather(x, wide[at(comm)].view(), Axis::kColumns);
                     comm.all_gather(x, tall[at(comm)].view(), Axis::kRows);
                   }),
            kNoErrors4);
  for (size_t rank = 0; rank < 4; ++rank) {
    for (int64_t i = 0; i < 5 * 48; ++i) {
      const Tensor& from = x_[static_cast<size_t>(i % 48 / 12)];
      EXPECT_EQ(element(wide[rank], i), element(from, i / 48 * 12 + i % 12));
    }
    for (int64_t i = 0; i < 18 * 12; ++i)
      EXPECT_EQ(element(tall[rank], i), element(x_[static_cast<size_t>(i / 60)], i % 60));
  }
}

INSTANTIATE_TEST_SUITE_P(Type, LocalGroupTest, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(LocalGroup, MinusZeroAndNanGoThroughAReduction) {
  LocalGroup group(2, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<Tensor> x = {Tensor(DType::kF32, {1, 5}), Tensor(DType::kF32, {1, 5})};
  std::vector<Tensor> y = {Tensor(DType::kF32, {1, 5}), Tensor(DType::kF32, {1, 5})};
  const float first[] = {-0.0f, -0.0f, nan, 1.0f, infinity};
  const float second[] = {-0.0f, 3.0f, 1.0f, nan, -infinity};
  std::copy_n(first, 5, x[0].as<float>());
  std::copy_n(second, 5, x[1].as<float>());
  on_all(group, [&](Communicator& comm) {
    const auto rank = static_cast<size_t>(comm.place().rank);
    comm.all_reduce(x[rank].view(), y[rank].view());
  });
  for (const Tensor& sum : y) {
    EXPECT_EQ(sum.as<float>()[0], 0.0f);
    EXPECT_TRUE(std::signbit(sum.as<float>()[0]));
    EXPECT_EQ(sum.as<float>()[1], 3.0f);
    for (const int i : {2, 3, 4}) EXPECT_TRUE(std::isnan(sum.as<float>()[i])) << i;
  }
}

TEST(LocalGroup, StagesHandOverAlongTheirIndex) {
  LocalGroup group(2, 3);
  std::vector<Tensor> got(6);
  const auto errors = on_all(group, [&](Communicator& comm) {
    const RankPlace& place = comm.place();
    Tensor x = random_matrix(place.index(), {3, 4});
    if (!place.is_first_stage()) {
      x = Tensor(DType::kF32, {3, 4});
      comm.recv(x.view());
    }
    for (int64_t i = 0; i < 12; ++i) x.as<float>()[i] *= 2.0f;
    got[static_cast<size_t>(place.rank)] = x;
    if (!place.is_last_stage()) comm.send(x.view());
  });
  EXPECT_EQ(errors, std::vector<std::string>(6));
  for (size_t rank = 0; rank < 6; ++rank) {
    const Tensor start = random_matrix(static_cast<int64_t>(rank % 2), {3, 4});
    for (int64_t i = 0; i < 12; ++i)
      EXPECT_EQ(element(got[rank], i),
                std::ldexp(element(start, i), static_cast<int>(rank / 2) + 1));
  }
}

TEST(LocalGroup, ARankThatThrowsEndsTheOthersByName) {
  LocalGroup group(2, 2);
  const auto errors = on_all(group, [](Communicator& comm) {
    Tensor x(DType::kF32, {1, 4}), y(DType::kF32, {1, 4});
    if (comm.place().rank == 2) throw Error(ErrorCategory::kInternal, "no more memory");
    if (comm.place().stage() == 1) comm.recv(x.view());
    comm.all_reduce(x.view(), y.view());
    if (comm.place().stage() == 0) comm.send(y.view());
  });
  for (const size_t rank : {0u, 1u, 3u})
    EXPECT_EQ(errors[rank] == "rank 2 failed: no more memory" || errors[rank].empty(), true)
        << errors[rank];
  EXPECT_EQ(group.failure(), "rank 2 failed: no more memory");
  EXPECT_EQ(errors[3], group.failure());
  EXPECT_EQ(errors[0], group.failure());
}

TEST(LocalGroup, ARankThatStallsEndsTheOthersByName) {
  LocalGroup group(3, 1, {.stall_limit = kSoon});
  std::atomic<int> ended{0};
  const auto start = std::chrono::steady_clock::now();
  const auto errors = on_all(group, [&](Communicator& comm) {
    Tensor x(DType::kF32, {1, 4}), y(DType::kF32, {1, 4});
    if (comm.place().rank == 1) {
      while (ended < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } else {
      try {
        comm.all_reduce(x.view(), y.view());
      } catch (...) {
        ++ended;
        throw;
      }
    }
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10 * kSoon);
  EXPECT_THAT(errors[0], HasSubstr("rank 1 stalled"));
  EXPECT_THAT(errors[0], HasSubstr("0 in all_reduce"));
  EXPECT_EQ(errors[2], errors[0]);
}

// Work that goes on in one rank is no stall of the others' waiting.
TEST(LocalGroup, ASlowRankIsNoStall) {
  std::atomic<uint64_t> work{0};
  LocalGroup group(2, 1, {.stall_limit = kSoon, .work_done = [&] { return work.load(); }});
  const auto errors = on_all(group, [&](Communicator& comm) {
    Tensor x(DType::kF32, {1, 4}), y(DType::kF32, {1, 4});
    for (int i = 0; comm.place().rank == 1 && i < 60; ++i) {
      std::this_thread::sleep_for(kSoon / 20);
      ++work;
    }
    comm.all_reduce(x.view(), y.view());
  });
  EXPECT_EQ(errors, std::vector<std::string>(2));
}

TEST(LocalGroup, RanksThatWaitForEachOtherAreToldSo) {
  LocalGroup group(1, 2, {.stall_limit = kSoon});
  const auto errors = on_all(group, [](Communicator& comm) {
    Tensor x(DType::kF32, {1, 4});
    if (comm.place().rank == 1) {
      comm.recv(x.view());
      comm.recv(x.view());
    } else {
      comm.send(x.view());
    }
  });
  EXPECT_THAT(errors[1], HasSubstr("nothing happened"));
}

TEST(LocalGroup, WhoDrivesTheRanksIsEndedToo) {
  LocalGroup group(2, 1, {.stall_limit = kSoon});
  EXPECT_THROW(group.wait_until([] { return false; }), Error);
  EXPECT_THAT(group.failure(), HasSubstr("rank 0, 1 stalled"));
  EXPECT_THROW(group.wait_until([] { return true; }), Error);  // of no use any more
}

TEST(LocalGroup, MatricesThatDoNotMatchAreRefused) {
  LocalGroup group(2, 1, {.stall_limit = kSoon});
  const auto errors = on_all(group, [](Communicator& comm) {
    const Shape shape = {1, 4 + comm.place().rank};
    Tensor x(DType::kF32, shape), y(DType::kF32, shape);
    comm.all_reduce(x.view(), y.view());
  });
  EXPECT_THAT(errors[1], HasSubstr("x is [1, 5], that of the first rank of its stage is [1, 4]"));
}

}  // namespace
}  // namespace octavo
