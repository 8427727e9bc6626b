// The low-latency linear in every cut, and how its cuts are chosen.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/low_latency.h"

#include "backend/cuda/linear_case.h"
#include "core/error.h"

namespace octavo::testing {
namespace {

using cuda::LowLatencyConfig;

// Device operands of one product, and its result.
class LowLatencyProduct {
 public:
  explicit LowLatencyProduct(const Linear& linear)
      : linear_(linear),
        x_(linear.m * linear.k),
        weight_(linear.n * linear.k),
        scales_(8),
        bias_(linear.n * 2),
        y_(linear.m * linear.n * 2) {
    upload(x_, linear.x);
    upload(weight_, linear.weight);
    upload(bias_, linear.bias);
    cudaMemcpy(scales_.data(), linear.input_scale.data(), 4, cudaMemcpyHostToDevice);
    cudaMemcpy(scales_.data() + 4, linear.weight_scale.data(), 4, cudaMemcpyHostToDevice);
  }

  Tensor run(const LowLatencyConfig& config) {
    const cuda::LowLatencyGemm gemm = {
        .x = reinterpret_cast<const uint8_t*>(x_.data()),
        .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
        .input_scale = reinterpret_cast<const float*>(scales_.data()),
        .weight_scale = reinterpret_cast<const float*>(scales_.data() + 4),
        .bias = bias_.data(),
        .y = y_.data(),
        .x_stride = linear_.k,
        .weight_stride = linear_.k,
        .y_stride = linear_.n,
        .m = static_cast<int>(linear_.m),
        .n = static_cast<int>(linear_.n),
        .k = static_cast<int>(linear_.k),
        .segments = 1,
        .segment_end = {static_cast<int>(linear_.n)}};
    Tensor y(DType::kBF16, {linear_.m, linear_.n});
    OCTAVO_CUDA_CHECK(cudaMemset(y_.data(), 0xFF, y.bytes()));
    cuda::launch_low_latency(gemm, config, {});
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), y_.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(y_.guards_intact()) << to_string(config);
    return y;
  }

 private:
  static void upload(const DeviceBuffer& to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to.data(), from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }

  const Linear& linear_;
  DeviceBuffer x_, weight_, scales_, bias_, y_;
};

std::vector<LowLatencyConfig> every_cut() {
  std::vector<LowLatencyConfig> cuts;
  for (const int rows : {8, 24, 64, 72, 128}) {
    for (const int steps : {2, 4, 8}) {
      for (const int depth : {2, 5}) {
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth});
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .passes = 3});
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .lead = 1, .fill = 1});
        for (const int split : {2, 4, 8})
          cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .split = split});
      }
    }
  }
  return cuts;
}

// Every way to cut, and both sides of each size of the token tile.
TEST(LowLatency, EveryCutIsExact) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t m : {1, 8, 9, 16, 17, 32, 33, 64}) {
    for (const int64_t k : {208, 4112}) {
      const Linear linear = make_linear(DType::kE4M3, m, 144 + 5, k, 1, true, DType::kBF16);
      const Expected expected = oracle(linear);
      LowLatencyProduct product(linear);
      for (const LowLatencyConfig& config : every_cut()) {
        if (low_latency_shared_bytes(static_cast<int>(m), config) > cuda::kLowLatencySharedBytes)
          continue;
        expect_exact(linear, expected, product.run(config), to_string(config));
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

// A token's result depends on no other token, nor on their number.
TEST(LowLatency, TokensAreIndependent) {
  OCTAVO_REQUIRE_DEVICE();
  const int64_t n = 320, k = 4112;
  Linear all = make_linear(DType::kE4M3, 64, n, k, 1, false, DType::kBF16);
  LowLatencyProduct all_product(all);
  const Tensor y = all_product.run(cuda::low_latency_config(64, n, k, 132));
  for (const int64_t m : {1, 7, 16, 31, 40}) {
    Linear some = make_linear(DType::kE4M3, 64, n, k, 1, false, DType::kBF16);
    some.m = m;
    some.x = Tensor(DType::kE4M3, {m, k});
    std::memcpy(some.x.data(), all.x.data(), m * k);
    LowLatencyProduct product(some);
    const Tensor part = product.run(cuda::low_latency_config(static_cast<int>(m), n, k, 132));
    EXPECT_EQ(std::memcmp(part.data(), y.data(), part.bytes()), 0) << m;
  }
}

// A ring of any size gives the same bytes: down to one stage, with and without a cluster.
TEST(LowLatency, RingsGiveTheSameBytes) {
  OCTAVO_REQUIRE_DEVICE();
  struct Rings {
    int m, n, k;
    const char* tactics[3];  // of one, two and three stages
  };
  for (const Rings& c : {Rings{1, 144, 4112, {"ring 12", "ring 16 fill 1", "ring 20 lead 1"}},
                         Rings{16, 4300, 528, {"ring 20", "ring 34 fill 1", "ring 48 lead 1"}}}) {
    const Linear linear = make_linear(DType::kE4M3, c.m, c.n, c.k, 1, true, DType::kBF16);
    LowLatencyProduct product(linear);
    const LowLatencyConfig own = cuda::low_latency_config(c.m, c.n, c.k, 132);
    const Tensor y = product.run(own);
    int depth = 0;
    for (const char* tactic : c.tactics) {
      const LowLatencyConfig smaller = cuda::read_tactic(own, tactic, c.m, c.k);
      EXPECT_EQ(smaller.depth, ++depth) << to_string(smaller);
      expect_same_bytes(product.run(smaller), y, to_string(smaller));
    }
  }
}

TEST(LowLatencyConfig, TacticsChangeWhenLoadsAreAskedForAndNothingElse) {
  const LowLatencyConfig own = cuda::low_latency_config(1, 28672, 4096, 132);
  const LowLatencyConfig changed = cuda::with_tactic(own, "lead 1 fill 2", 1, 4096);
  EXPECT_EQ(to_string(changed), to_string(own) + " lead 1 fill 2");
  const auto cut = cuda::low_latency_cut(1, 28672, 4096, own, true);
  EXPECT_EQ(cut.config.lead, own.depth);
  EXPECT_EQ(cut.config.fill, 2);
}

// o of an 8B model beside decode attention that lets it in at its keys: a CTA of 110 KiB. Of 228
// KiB of a multiprocessor each takes one for the system.
TEST(LowLatencyConfig, ARingKeepsWithinItsMemory) {
  for (const int m : {1, 16, 64}) {
    const LowLatencyConfig own = cuda::low_latency_config(m, 4096, 4096, 132);
    LowLatencyConfig cut = cuda::read_tactic(own, "ring 116", m, 4096);
    const int bytes = low_latency_shared_bytes(m, cut);
    EXPECT_LE(bytes, 116 << 10) << m;
    EXPECT_GT(low_latency_shared_bytes(m, own), 116 << 10) << m;
    LowLatencyConfig more = cut;
    ++more.depth;
    EXPECT_GT(low_latency_shared_bytes(m, more), 116 << 10) << m;
    cut.steps = own.steps;
    cut.depth = own.depth;
    EXPECT_EQ(to_string(cut), to_string(own)) << m;
  }
}

TEST(LowLatencyConfig, ATacticThatMakesNoSenseIsNamedAndCountsForNothing) {
  const LowLatencyConfig own = cuda::low_latency_config(1, 28672, 4096, 132);
  for (const char* tactic : {"lead", "lead 0", "lead x", "lead 1x", "fill 2 algorithm 7", "late",
                             "ring", "ring 228", "ring -1", "ring 4", "fill  2", "fill 2 ", " "}) {
    EXPECT_EQ(to_string(cuda::with_tactic(own, tactic, 1, 4096)), to_string(own)) << tactic;
    try {
      cuda::read_tactic(own, tactic, 1, 4096);
      ADD_FAILURE() << tactic;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(tactic), std::string_view::npos)
          << error.what();
    }
  }
  EXPECT_EQ(to_string(cuda::read_tactic(own, "", 1, 4096)), to_string(own));
}

TEST(LowLatencyConfig, EveryCandidateCanRun) {
  for (const int m : {1, 2, 8, 16, 17, 32, 64}) {
    for (const int k : {16, 128, 2048, 4096, 8192, 14336, 1 << 20}) {
      for (const int n : {1, 1024, 2560, 6144, 28672, 128256}) {
        for (const LowLatencyConfig& config : cuda::low_latency_candidates(m, n, k, 132)) {
          EXPECT_LE(low_latency_shared_bytes(m, config), cuda::kLowLatencySharedBytes)
              << to_string(config);
          EXPECT_EQ(config.rows % 8, 0) << to_string(config);
          EXPECT_LE(config.rows, cuda::kLowLatencyMaxRows) << to_string(config);
          EXPECT_GE(config.depth, 1) << to_string(config);
          EXPECT_LE(config.depth, cuda::kLowLatencyMaxDepth) << to_string(config);
          EXPECT_TRUE(config.split == 1 || config.passes == 1) << to_string(config);
        }
      }
    }
  }
}

}  // namespace
}  // namespace octavo::testing
