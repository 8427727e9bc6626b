// Permutation refuses experts that do not exist.
// SPDX-License-Identifier: Apache-2.0
#include "ops/permute.h"

#include "backend/cpu/run_kernel.h"

namespace octavo {
namespace {

using namespace testing_ops;

TEST(PermuteTest, ExpertsAreChecked) {
  std::mt19937 random(1);
  const HostTensor x = normal_tensor(DType::kBF16, {2, 8}, 0, random);
  for (const int bad : {-2, 3, 1 << 30}) {
    HostTensor experts(DType::kI32, {2, 1});
    experts.set(0, 1);
    experts.set(1, bad);
    EXPECT_THROW(results(Op::kPermute, PermuteParams{3}, {x, experts},
                         {{DType::kI32, {2, 1}}, {DType::kI32, {4}}, {DType::kBF16, {2, 8}}}),
                 Error)
        << bad;
  }
}

}  // namespace
}  // namespace octavo
