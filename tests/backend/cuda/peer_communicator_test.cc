// Sums of every shape are those of the order of ranks, whichever way they take.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/peer_communicator.h"

#include <gtest/gtest.h>

#include "backend/cuda/peer_case.h"

namespace octavo::testing {
namespace {

using PeerSums = PeersTest;

TEST_P(PeerSums, SumsAreInTheOrderOfRanksAndTheSameOnAll) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const Shape& shape : {Shape{1, 64}, Shape{3, 512}, Shape{1, 8192}, Shape{64, 8192},
                               Shape{7, 33}, Shape{513, 1000}, Shape{1, 1}}) {
      const std::vector<Tensor> x = inputs(dtype, shape, 11);
      Tensor expected(dtype, shape);
      for (int64_t i = 0; i < shape.elements(); ++i) set_element(expected.view(), i, sum_of(x, i));
      for (int repeat = 0; repeat < 3; ++repeat) {
        const std::vector<Tensor> y = results(
            x, shape,
            [](Communicator& comm, TensorView from, TensorView to) { comm.all_reduce(from, to); });
        for (const Tensor& one : y) expect_same_bytes(one, expected, to_string(shape));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, PeerSums, ::testing::Values(2, 4),
                         [](const auto& info) { return fmt::format("{}", info.param); });

}  // namespace
}  // namespace octavo::testing
