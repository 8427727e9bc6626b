// The low-latency linear that norms its rows: the bytes of both kernels, however it is cut.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/normed_low_latency.h"

#include "backend/cuda/linear_case.h"

namespace octavo::testing {
namespace {

using cuda::LowLatencyConfig;

constexpr int kMultiprocessors = 132;

// A norm with a linear behind it, on the device.
class NormedProduct {
 public:
  NormedProduct(int64_t m, int64_t n, int64_t k)
      : linear_(make_linear(DType::kE4M3, m, n, k, 1, false, DType::kBF16)),
        rows_{DeviceBuffer(m * k * 2), DeviceBuffer(m * k * 2), DeviceBuffer(m * k * 2),
              DeviceBuffer(m * k * 2)},
        norm_weight_(k * 2),
        codes_(m * k),
        weight_(n * k),
        scales_(8),
        bias_(n * 2),
        y_(m * n * 2) {
    Values values(7);
    upload(norm_weight_, values.normal(DType::kBF16, {k}));
    upload(weight_, linear_.weight);
    upload(bias_, linear_.bias);
    upload_rows();
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(scales_.data(), linear_.input_scale.data(), 4, cudaMemcpyHostToDevice));
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(scales_.data() + 4, linear_.weight_scale.data(), 4, cudaMemcpyHostToDevice));
  }

  Tensor unfused(const LowLatencyConfig& config) {
    cuda::launch_rms_norm(norm(0), {});
    cuda::launch_low_latency(gemm(y_.data()), config, {});
    return fetch(to_string(config));
  }
  Tensor fused(const LowLatencyConfig& config) {
    OCTAVO_CUDA_CHECK(cudaMemset(y_.data(), 0xFF, linear_.m * linear_.n * 2));
    cuda::launch_normed_low_latency({gemm(y_.data()), norm(0), threads()}, config, {});
    return fetch(to_string(config));
  }
  // Three in a row, each of the sum and the y of the one before. There are as many rows of the
  // weight as columns.
  Tensor chain(const LowLatencyConfig& config, const cuda::Launch& where) {
    upload_rows();
    for (const int link : {0, 1, 2}) {
      LowLatencyConfig one = config;
      one.lead = one.fill = link;
      std::byte* const y = link == 2 ? y_.data() : rows_[link % 2 == 0 ? 3 : 0].data();
      cuda::launch_normed_low_latency({gemm(y), norm(link), threads()}, one, where);
    }
    OCTAVO_CUDA_CHECK(cudaStreamSynchronize(where.stream));
    return fetch("chain");
  }

 private:
  static void upload(const DeviceBuffer& to, const Tensor& from) {
    OCTAVO_CUDA_CHECK(cudaMemcpy(to.data(), from.data(), from.bytes(), cudaMemcpyHostToDevice));
  }
  void upload_rows() {
    Values values(8);
    for (const int i : {0, 1})
      upload(rows_[i], values.normal(DType::kBF16, {linear_.m, linear_.k}));
  }
  int threads() const { return cuda::norm_layout(static_cast<int>(linear_.k), 8).threads; }
  const float* scale(int index) const {
    return reinterpret_cast<const float*>(scales_.data()) + index;
  }
  // The residual and the sum change places from link to link, and so do x and y.
  cuda::NormRows norm(int link) const {
    return {.x = rows_[link % 2 == 0 ? 0 : 3].data(),
            .residual = rows_[link % 2 == 0 ? 1 : 2].data(),
            .weight = norm_weight_.data(),
            .output_scale = scale(0),
            .sum = rows_[link % 2 == 0 ? 2 : 1].data(),
            .y = codes_.data(),
            .x_stride = linear_.k,
            .residual_stride = linear_.k,
            .sum_stride = linear_.k,
            .y_stride = linear_.k,
            .rows = linear_.m,
            .groups = 1,
            .width = static_cast<int>(linear_.k),
            .vector = 8,
            .inverse_width = 1.0f / static_cast<float>(linear_.k),
            .epsilon = 1e-5f,
            .activation = DType::kBF16,
            .output = DType::kE4M3};
  }
  cuda::LowLatencyGemm gemm(std::byte* y) const {
    return {.x = reinterpret_cast<const uint8_t*>(codes_.data()),
            .weight = reinterpret_cast<const uint8_t*>(weight_.data()),
            .input_scale = scale(0),
            .weight_scale = scale(1),
            .bias = bias_.data(),
            .y = y,
            .output_scale = nullptr,
            .x_stride = linear_.k,
            .weight_stride = linear_.k,
            .y_stride = linear_.n,
            .m = static_cast<int>(linear_.m),
            .n = static_cast<int>(linear_.n),
            .k = static_cast<int>(linear_.k),
            .segments = 1,
            .segment_end = {static_cast<int>(linear_.n)},
            .y_is_float = false};
  }
  Tensor fetch(const std::string& what) const {
    Tensor y(DType::kBF16, {linear_.m, linear_.n});
    OCTAVO_CUDA_CHECK(cudaMemcpy(y.data(), y_.data(), y.bytes(), cudaMemcpyDeviceToHost));
    EXPECT_TRUE(y_.guards_intact() && rows_[2].guards_intact()) << what;
    return y;
  }

  Linear linear_;
  DeviceBuffer rows_[4], norm_weight_, codes_, weight_, scales_, bias_, y_;
};

std::vector<LowLatencyConfig> cuts_with_split(int split) {
  std::vector<LowLatencyConfig> cuts;
  for (const int rows : {8, 72, 128}) {
    for (const int steps : {2, 4, 8}) {
      for (const int depth : {1, 2}) {
        cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .split = split});
        if (split == 1) cuts.push_back({.rows = rows, .steps = steps, .depth = depth, .passes = 2});
      }
    }
  }
  return cuts;
}

// The sums depend on the split of K alone, of which a CTA's share may be empty.
TEST(NormedLowLatency, EveryCutGivesTheBytesOfBothKernels) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t k : {208, 1104}) {
    NormedProduct product(3, 136, k);
    for (const int split : {1, 2, 8}) {
      const Tensor expected = product.unfused({.rows = 64, .steps = 4, .depth = 2, .split = split});
      for (const LowLatencyConfig& config : cuts_with_split(split)) {
        if (cuda::normed_low_latency_shared_bytes(k, config) > cuda::kLowLatencySharedBytes)
          continue;
        expect_same_bytes(product.fused(config), expected,
                          fmt::format("{} k {}", to_string(config), k));
        if (HasFailure()) return;
      }
    }
  }
}

// Joined by programmatic launches: each reads what the one before writes, and writes what that
// reads.
TEST(NormedLowLatency, WaitsForTheKernelBefore) {
  OCTAVO_REQUIRE_DEVICE();
  for (const int64_t m : {1, 4}) {
    constexpr int kColumns = 512;
    NormedProduct product(m, kColumns, kColumns);
    const auto config = cuda::normed_low_latency_config(kColumns, kColumns, kMultiprocessors);
    const Tensor expected = product.chain(config, {});
    cudaStream_t stream = nullptr;
    OCTAVO_CUDA_CHECK(cudaStreamCreate(&stream));
    for (int i = 0; i < 3; ++i)
      expect_same_bytes(product.chain(config, {stream, true}), expected, fmt::format("m {}", m));
    OCTAVO_CUDA_CHECK(cudaStreamDestroy(stream));
  }
}

// What is not cut as the linear would have other sums; what is not used of the shared memory would
// hold fewer weights.
TEST(NormedLowLatency, IsCutAsTheLinear) {
  for (const int n : {16, 1000, 4096, 6144, 28672, 128256}) {
    for (const int k : {16, 1024, 4096, 5120, cuda::kNormedMaxColumns}) {
      const auto linear = cuda::low_latency_config(1, n, k, kMultiprocessors);
      const auto config = cuda::normed_low_latency_config(n, k, kMultiprocessors);
      EXPECT_EQ(config.rows, linear.rows);
      EXPECT_EQ(config.split, linear.split);
      EXPECT_EQ(config.passes, linear.passes);
      EXPECT_GE(config.depth, 1);
      const int bytes = cuda::normed_low_latency_shared_bytes(k, config);
      EXPECT_LE(bytes, cuda::kLowLatencySharedBytes) << to_string(config);
      const auto cut = cuda::normed_low_latency_cut(n, k, config, true);
      const int share =
          cuda::ceil_divide(cuda::ceil_divide(k, cuda::kLowLatencyStep), config.split);
      const int stages = config.passes * cuda::ceil_divide(share, config.steps);
      const bool whole = config.depth == std::min(stages, cuda::kLowLatencyMaxDepth);
      EXPECT_TRUE(whole || bytes + cut.stage_bytes > cuda::kLowLatencySharedBytes)
          << to_string(config) << " n " << n << " k " << k;
      EXPECT_EQ(cut.stage_bytes, config.steps * config.rows * cuda::kLowLatencyStep);
    }
  }
}

}  // namespace
}  // namespace octavo::testing
