// The walk over experts: its order, what it clears and what it refuses.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/expert_rows.h"

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

HostTensor offsets_of(const std::vector<int>& values) {
  HostTensor offsets(DType::kI32, {std::ssize(values)});
  for (size_t i = 0; i < values.size(); ++i) offsets.set(static_cast<int64_t>(i), values[i]);
  return offsets;
}

TEST(ExpertRowsTest, VisitsExpertsWithRowsAndClearsTheRest) {
  const HostTensor y(DType::kF32, {6, 2});
  std::vector<std::vector<int64_t>> seen;
  for_each_expert(offsets_of({0, 2, 2, 5}).view(), y.view(), [&](const ExpertRows& rows) {
    seen.push_back({rows.expert, rows.begin, rows.end});
  });
  EXPECT_EQ(seen, (std::vector<std::vector<int64_t>>{{0, 0, 2}, {2, 2, 5}}));
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(std::isnan(y.get(i)), i < 10) << i;
}

TEST(ExpertRowsTest, OffsetsMustAscendWithinTheRows) {
  const HostTensor y(DType::kF32, {6, 2});
  for (const auto& bad : {std::vector{0, 3, 2}, {0, 3, 7}, {-1, 3, 6}})
    EXPECT_THROW(for_each_expert(offsets_of(bad).view(), y.view(), [](const ExpertRows&) {}),
                 Error);
}

}  // namespace
}  // namespace octavo
