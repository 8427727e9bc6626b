// Linear on integer codes: exact on small values, within a derived bound on random ones.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/integer_large.h"
#include "backend/cuda/gemm/integer_low_latency.h"
#include "backend/cuda/integer_linear_case.h"

namespace octavo::testing {
namespace {

class IntegerLinear : public ::testing::TestWithParam<IntegerCase> {};

DeviceCall call_of(const Linear& linear, const Tensor& y, int64_t pitch) {
  DeviceCall call;
  call.pitch(pitch);
  add_inputs(call, linear);
  call.out(y);
  return call;
}

// Calls function(name) for every kernel that supports the case; the plain one always does.
template <typename Function>
void for_kernels(const Linear& linear, const Tensor& y, const Function& function) {
  const Problem problem = call_of(linear, y, 0).problem(Op::kLinear);
  int kernels = 0;
  for (const Kernel& kernel : cuda_kernels()) {
    if (kernel.op != Op::kLinear || !kernel.supports(problem).supported) continue;
    ++kernels;
    function(kernel.name);
  }
  const bool few = linear.m <= cuda::kIntegerMaxTokens;
  const bool large = y.dtype() == DType::kBF16;
  const bool multiples = linear.k % 16 == 0;
  EXPECT_EQ(kernels, 1 + (multiples && few) + (multiples && large && linear.n % 2 == 0));
}

TEST_P(IntegerLinear, SmallValuesAreExact) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType type : {DType::kBF16, DType::kF32}) {
    const Linear linear =
        make_integer_linear(GetParam(), true, type == DType::kBF16 ? DType::kBF16 : DType::kI32);
    const Expected expected = integer_oracle(linear);
    const Tensor y(type, {linear.m, linear.n});
    for_kernels(linear, y, [&](std::string_view kernel) {
      for (const int64_t pitch : {0, 16, 1}) {  // the last is not aligned
        call_of(linear, y, pitch).run(kernel);
        expect_exact(linear, expected, y, fmt::format("{} {}", kernel, GetParam().name()));
      }
    });
  }
}

TEST_P(IntegerLinear, RandomValuesAreWithinTheBound) {
  OCTAVO_REQUIRE_DEVICE();
  const Linear linear = make_integer_linear(GetParam(), false, DType::kBF16);
  const Expected expected = integer_oracle(linear);
  const Tensor y(DType::kBF16, {linear.m, linear.n});
  // Exact products; float32 sums of which the tensor cores may truncate each, at most 2^-23, and at
  // most k / 8 + 64 lie on one path. The float32 oracle of a weight, code × scale, adds 2^-24.
  const double unit = (static_cast<double>(linear.k) / 8 + 64) * 0x1p-23;
  for_kernels(linear, y, [&](std::string_view kernel) {
    call_of(linear, y, 0).run(kernel);
    expect_within(linear, expected, y, unit, fmt::format("{} {}", kernel, GetParam().name()));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Grid, IntegerLinear,
    ::testing::Values(IntegerCase{1, 1, 16, false}, IntegerCase{1, 2, 16, true},
                      IntegerCase{2, 33, 48, false}, IntegerCase{3, 96, 1040, true},
                      IntegerCase{5, 31, 33, false}, IntegerCase{5, 30, 33, true},
                      IntegerCase{8, 18, 2048, false}, IntegerCase{9, 256, 512, true},
                      IntegerCase{16, 128, 4096, true}, IntegerCase{16, 300, 4096, false},
                      IntegerCase{17, 80, 144, true}, IntegerCase{33, 264, 256, false},
                      IntegerCase{48, 304, 1040, true}, IntegerCase{64, 264, 2064, false},
                      IntegerCase{65, 64, 128, true}, IntegerCase{200, 66, 400, false},
                      IntegerCase{256, 40, 272, true}, IntegerCase{257, 192, 320, false},
                      IntegerCase{300, 1288, 272, true}, IntegerCase{513, 520, 1040, false},
                      IntegerCase{129, 136, 16, true}, IntegerCase{1, 6144, 1024, true},
                      IntegerCase{4, 40000, 144, false}));

std::vector<cuda::IntegerConfig> every_cut() {
  std::vector<cuda::IntegerConfig> cuts;
  for (const int rows : {16, 48, 128, 256}) {
    for (const auto& [steps, depth] : {std::pair{1, 5}, {2, 2}, {4, 2}}) {
      cuts.push_back({.rows = rows, .steps = steps, .depth = depth});
      cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .passes = 3});
      for (const int split : {2, 4})
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .split = split});
    }
  }
  return cuts;
}

bool can_run(const cuda::IntegerShape& shape, const cuda::IntegerConfig& config) {
  return config.rows <= cuda::integer_most_rows(shape) &&
         integer_shared_bytes(shape, config) <= cuda::kIntegerSharedBytes;
}

// Every way to cut, and both sides of each size of the token tile.
TEST(IntegerLowLatency, EveryCutIsExact) {
  OCTAVO_REQUIRE_DEVICE();
  for (const bool four_bits : {false, true}) {
    for (const int64_t m : {8, 9, 32, 64, 130}) {
      for (const int64_t k : {208, 2176}) {
        const Linear linear = make_integer_linear({m, 290, k, four_bits}, true, DType::kBF16);
        const Expected expected = integer_oracle(linear);
        IntegerProduct product(linear);
        for (const cuda::IntegerConfig& config : every_cut()) {
          if (!can_run(product.gemm().shape, config)) continue;
          const Tensor y = product.run(
              [&](const cuda::IntegerGemm& gemm) {
                cuda::launch_integer_low_latency(gemm, config, {});
              },
              to_string(config));
          expect_exact(linear, expected, y, to_string(config));
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

// A token's result depends on no other token, nor on their number.
TEST(IntegerLowLatency, TokensAreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  const int64_t n = 320, k = 4112;
  for (const bool four_bits : {false, true}) {
    const Linear all = make_integer_linear({200, n, k, four_bits}, false, DType::kBF16);
    IntegerProduct all_product(all);
    const auto launch = [](const cuda::IntegerGemm& gemm) {
      cuda::launch_integer_low_latency(gemm, cuda::integer_config(gemm.shape, 132), {});
    };
    const Tensor y = all_product.run(launch, "all");
    for (const int64_t m : {1, 7, 16, 31, 40, 100}) {
      Linear some = make_integer_linear({200, n, k, four_bits}, false, DType::kBF16);
      some.m = m;
      some.x = Tensor(DType::kBF16, {m, k});
      std::memcpy(some.x.data(), all.x.data(), some.x.bytes());
      IntegerProduct product(some);
      const Tensor part = product.run(launch, "some");
      EXPECT_EQ(std::memcmp(part.data(), y.data(), part.bytes()), 0) << m;
    }
  }
}

// More tiles than multiprocessors, a last band of token tiles that is not full, edges at both
// sides.
TEST(IntegerLarge, EveryCutIsExactAndGivesTheSameBytes) {
  OCTAVO_REQUIRE_DEVICE();
  for (const bool four_bits : {false, true}) {
    for (const bool exact : {false, true}) {
      const Linear linear = make_integer_linear({2190, 1034, 208, four_bits}, exact, DType::kBF16);
      const Expected expected = exact ? integer_oracle(linear) : Expected();
      IntegerProduct product(linear);
      const auto run = [&](int rows) {
        return product.run(
            [&](const cuda::IntegerGemm& gemm) { cuda::launch_integer_large(gemm, rows, {}); },
            "large");
      };
      const Tensor low = run(128), high = run(256);
      expect_same_bytes(low, high, "128 and 256 rows");
      if (exact) expect_exact(linear, expected, low, "128 rows");
    }
  }
}

TEST(IntegerConfig, EveryCandidateCanRun) {
  for (const bool four_bits : {false, true}) {
    for (const int m : {1, 8, 16, 17, 32, 64, 256}) {
      for (const int k : {16, 128, 2048, 4096, 14336, 1 << 20}) {
        for (const int n : {2, 1024, 2560, 6144, 28672, 128256}) {
          const cuda::IntegerShape shape = {m, n, k, four_bits};
          for (const cuda::IntegerConfig& config : cuda::integer_candidates(shape, 132)) {
            EXPECT_TRUE(can_run(shape, config)) << to_string(config);
            EXPECT_EQ(config.rows % 16, 0) << to_string(config);
            EXPECT_GE(config.depth, 1) << to_string(config);
            EXPECT_LE(config.depth, cuda::kIntegerMaxDepth) << to_string(config);
            EXPECT_EQ(cuda::kIntegerStepGroup % config.steps, 0) << to_string(config);
            EXPECT_TRUE(config.split == 1 || config.passes == 1) << to_string(config);
          }
        }
      }
    }
  }
}

// The result depends on the split, and the split on the weight alone.
TEST(IntegerConfig, SplitIsTheSameForEveryNumberOfTokens) {
  for (const int n : {64, 2560, 4096, 6144, 28672}) {
    const int split = cuda::integer_config({1, n, 4096, true}, 132).split;
    for (const int m : {2, 16, 17, 64, 256})
      EXPECT_EQ(cuda::integer_config({m, n, 4096, true}, 132).split, split) << n << " " << m;
  }
}

TEST(IntegerLargeRows, LeavesFewMultiprocessorsIdle) {
  EXPECT_EQ(cuda::integer_large_rows({1024, 4096, 4096, false}, 132), 256);  // 128 tiles at once
  EXPECT_EQ(cuda::integer_large_rows({1024, 6144, 4096, false}, 132), 128);  // 2.9 rounds
}

// What the fast kernels refuse is refused by name, and the plain one takes it.
TEST(IntegerScheme, OtherLayoutsOfScalesAreRefusedByName) {
  OCTAVO_REQUIRE_DEVICE();
  const Linear linear = make_integer_linear({4, 64, 256, true}, true, DType::kI32);
  const Tensor y(DType::kBF16, {linear.m, linear.n});
  Problem problem = call_of(linear, y, 0).problem(Op::kLinear);
  const auto reason = [&](std::string_view name) {
    return cuda_kernel(name).supports(problem).reason;
  };
  std::get<LinearParams>(problem.params).block_columns = 64;
  EXPECT_NE(reason("cuda_linear_integer_low_latency").find("1 x 64 of int4x2"), std::string::npos);
  EXPECT_TRUE(cuda_kernel("cuda_linear_reference").supports(problem).supported);
  std::get<LinearParams>(problem.params).block_columns = 128;
  problem.inputs[0].dtype = DType::kF32;
  EXPECT_EQ(reason("cuda_linear_integer_sm90"), "x of float32");
}

}  // namespace
}  // namespace octavo::testing
