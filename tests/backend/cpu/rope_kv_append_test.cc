// rope_kv_append against rope and kv_append: equal bytes.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_kv_append.h"

#include "backend/cpu/run_kernel.h"
#include "ops/cache_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

class RopeKvAppendTest : public testing::TestWithParam<std::tuple<DType, DType>> {};

TEST_P(RopeKvAppendTest, WritesTheBytesOfItsExpansion) {
  const auto [dtype, cache_type] = GetParam();
  constexpr int64_t kTokens = 19;
  constexpr int64_t kHeadDim = 32;
  std::mt19937 random(3);
  const HostTensor q = normal_tensor(dtype, {kTokens, 4 * kHeadDim}, 128, random);
  const HostTensor k = normal_tensor(dtype, {kTokens, 2 * kHeadDim}, 192, random);
  const HostTensor v = normal_tensor(dtype, {kTokens, 2 * kHeadDim}, 192, random);
  HostTensor positions(DType::kI32, {kTokens});
  for (int64_t t = 0; t < kTokens; ++t) positions.set(t, static_cast<double>(1000 * t));
  const HostTensor frequency = inverse_frequencies(kHeadDim);
  const HostTensor slots = random_slots(kTokens, 64, random);
  const bool scaled = cache_type == DType::kE4M3;
  const HostTensor k_scale = scaled ? scale_tensor(kKeyScale) : HostTensor();
  const HostTensor v_scale = scaled ? scale_tensor(kValueScale) : HostTensor();
  const HostTensor cache(cache_type, {8, 2, 8, kHeadDim});
  const HostTensor y(dtype, q.shape());
  const RopeParams params{kHeadDim};

  const auto fused =
      results(Op::kRopeKvAppend, params, {q, k, v, positions, frequency, slots, k_scale, v_scale},
              {y, cache, cache});
  const auto rotated_q = results(Op::kRope, params, {q, positions, frequency}, {y});
  const auto rotated_k =
      results(Op::kRope, params, {k, positions, frequency}, {{dtype, k.shape()}});
  const auto caches =
      results(Op::kKvAppend, {}, {rotated_k[0], v, slots, k_scale, v_scale}, {cache, cache});
  EXPECT_EQ(bytes_of(fused[0]), bytes_of(rotated_q[0]));
  EXPECT_EQ(bytes_of(fused[1]), bytes_of(caches[0]));
  EXPECT_EQ(bytes_of(fused[2]), bytes_of(caches[1]));
}

INSTANTIATE_TEST_SUITE_P(Types, RopeKvAppendTest,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16),
                                          testing::Values(DType::kF32, DType::kBF16,
                                                          DType::kE4M3)));

}  // namespace
}  // namespace octavo
