// Routing of logits that have no order.
// SPDX-License-Identifier: Apache-2.0
#include "ops/route.h"

#include <limits>

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(RouteTest, ExpertsAreDistinctWhateverTheLogits) {
  HostTensor logits(DType::kF32, {2, 4});
  for (int64_t i = 0; i < 4; ++i) {
    logits.set(i, std::numeric_limits<double>::quiet_NaN());
    logits.set(4 + i, 1.0);
  }
  const auto routes = results(Op::kRoute, RouteParams{.top_k = 3, .normalize = true}, {logits, {}},
                              {{DType::kI32, {2, 3}}, {DType::kF32, {2, 3}}});
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(routes[0].get(row * 3 + i), i);
  }
}

}  // namespace
}  // namespace octavo
