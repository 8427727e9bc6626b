// Many elements: gathered, reduced and scattered.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/meet.h"

#include <gtest/gtest.h>

#include "backend/cuda/peer_case.h"

namespace octavo::testing {
namespace {

using Axis = Communicator::Axis;

using PeerMeet = PeersTest;

TEST_P(PeerMeet, GathersColumnsAndRows) {
  for (const int64_t columns : {int64_t{64}, int64_t{33}, int64_t{16032}}) {
    const std::vector<Tensor> x = inputs(DType::kF32, {5, columns}, 5);
    const std::vector<Tensor> wide = results(
        x, {5, columns * GetParam()}, [](Communicator& comm, TensorView from, TensorView to) {
          comm.all_gather(from, to, Axis::kColumns);
        });
    const std::vector<Tensor> tall = results(
        x, {5 * GetParam() - 2, columns}, [](Communicator& comm, TensorView from, TensorView to) {
          comm.all_gather(from, to, Axis::kRows);
        });
    for (int64_t rank = 0; rank < GetParam(); ++rank) {
      for (int64_t i = 0; i < 5 * columns; ++i) {
        const int64_t row = i / columns, column = i % columns;
        const float value = x[rank].as<float>()[i];
        const int64_t in_wide = row * columns * GetParam() + rank * columns + column;
        const int64_t in_tall = (rank * 5 + row) * columns + column;
        for (int64_t reader = 0; reader < GetParam(); ++reader) {
          ASSERT_EQ(wide[reader].as<float>()[in_wide], value);
          if (in_tall < tall[reader].shape().elements())
            ASSERT_EQ(tall[reader].as<float>()[in_tall], value);
        }
      }
    }
  }
}

TEST_P(PeerMeet, ReducesAndScattersRows) {
  const int64_t rows = 5, each = (rows + GetParam() - 1) / GetParam();
  const std::vector<Tensor> x = inputs(DType::kBF16, {rows, 264}, 8);
  const std::vector<Tensor> y =
      results(x, {each, 264}, [](Communicator& comm, TensorView from, TensorView to) {
        comm.reduce_scatter(from, to, Axis::kRows);
      });
  for (int64_t rank = 0; rank < GetParam(); ++rank) {
    for (int64_t i = 0; i < each * 264; ++i) {
      const int64_t at = rank * each * 264 + i;
      const float sum = at < rows * 264 ? to_float(to_bf16(sum_of(x, at))) : 0.0f;
      ASSERT_EQ(element(y[rank].view(), i), sum) << rank << ' ' << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, PeerMeet, ::testing::Values(2, 4),
                         [](const auto& info) { return fmt::format("{}", info.param); });

}  // namespace
}  // namespace octavo::testing
