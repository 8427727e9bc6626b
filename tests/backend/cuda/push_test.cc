// Few elements are summed as numbers, minus zero and NaN too.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/comm/push.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/cuda/peer_case.h"

namespace octavo::testing {
namespace {

using PeerPush = PeersTest;

TEST_P(PeerPush, MinusZeroAndNanAreSummedAsNumbers) {
  for (const int64_t rows : {1, 8}) {  // pushed, and shared: 128 KB
    std::vector<Tensor> x = inputs(DType::kBF16, {rows, 8192}, 3);
    for (const Tensor& one : x) {
      for (int64_t i = 0; i < 100; ++i) set_element(one.view(), i, -0.0f);
    }
    set_element(x[0].view(), 200, std::numeric_limits<float>::quiet_NaN());
    set_element(x.back().view(), 201, std::numeric_limits<float>::infinity());
    const std::vector<Tensor> y = results(
        x, x[0].shape(),
        [](Communicator& comm, TensorView from, TensorView to) { comm.all_reduce(from, to); });
    for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(y[0].as<uint16_t>()[i], 0x8000) << i;  // −0 + −0
    EXPECT_TRUE(std::isnan(element(y[0].view(), 200)));
    EXPECT_TRUE(std::isinf(element(y[0].view(), 201)));
    for (int64_t i = 202; i < x[0].shape().elements(); ++i)
      ASSERT_FALSE(std::isnan(element(y[0].view(), i))) << i;
    for (const Tensor& one : y) expect_same_bytes(one, y[0], "NaN");
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, PeerPush, ::testing::Values(2, 4),
                         [](const auto& info) { return fmt::format("{}", info.param); });

}  // namespace
}  // namespace octavo::testing
