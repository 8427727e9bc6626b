// Benchmarks of linear on integer codes beside cuBLASLt on bfloat16 weights, in turns.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/cublaslt.h"
#include "backend/cuda/gemm/integer_large.h"
#include "backend/cuda/gemm/integer_low_latency.h"
#include "kernels/cuda/groups.h"
#include "kernels/cuda/probe.h"
#include "kernels/cuda/turns.h"

namespace octavo::bench {
namespace {

constexpr double kPeakBytes = 4.66e12;     // measured: a read-only kernel over 8 GiB
constexpr size_t kColdBytes = 400u << 20;  // touched by a replay: several times the L2
constexpr size_t kWeightBytes = size_t{2} << 30;
constexpr int kMultiprocessors = 132;
constexpr int kMostTokens = 2048;
constexpr int kWidest = 28672;
constexpr int kDeepest = 14336;
constexpr size_t kScaleBytes = size_t{4} * kWidest * (kDeepest / cuda::kIntegerGroup);

struct Shape {
  const char* name;
  int n, k;
};
constexpr Shape kShapes[] = {{"8B qkv", 6144, 4096},
                             {"8B o", 4096, 4096},
                             {"8B gate_up", 28672, 4096},
                             {"8B down", 4096, 14336}};

class IntegerBench {
 public:
  explicit IntegerBench(Bench& bench)
      : bench_(bench),
        x_(bench.arena.take(size_t{kMostTokens} * kDeepest * 2)),
        y_(bench.arena.take(size_t{kMostTokens} * kWidest * 2)),
        scales_(bench.arena.take(kScaleBytes)),
        workspace_{bench.arena.take(cuda::kLtWorkspaceBytes), cuda::kLtWorkspaceBytes},
        codes_(bench.arena.take(kWeightBytes)),
        bf16_(bench.arena.take(kWeightBytes)) {
    fill_bf16(x_, size_t{kMostTokens} * kDeepest, 1.0f, 2);
    fill_bf16(bf16_, kWeightBytes / 2, 0.05f, 3);
    // The arena's pattern as floats would be anything.
    const std::vector<float> values(kScaleBytes / 4, 1.0f / 512);
    OCTAVO_CUDA_CHECK(
        cudaMemcpy(scales_, values.data(), values.size() * 4, cudaMemcpyHostToDevice));
  }

  void run(const Shape& shape, bool four_bits, int m) {
    std::vector<Candidate> candidates = library(shape, m);
    const size_t algorithms = candidates.size();
    const auto own = m <= cuda::kIntegerTokens ? few_tokens({m, shape.n, shape.k, four_bits})
                                               : many_tokens({m, shape.n, shape.k, four_bits});
    candidates.insert(candidates.end(), own.begin(), own.end());
    const size_t bytes = stored_bytes({m, shape.n, shape.k, four_bits});
    time_in_turns(bench_, calls_for(m, bytes), candidates);
    double bf16 = 1e30;
    for (size_t i = 0; i < algorithms; ++i) bf16 = std::min(bf16, candidates[i].median());
    size_t best = algorithms;
    for (size_t i = algorithms; i < candidates.size(); ++i) {
      if (candidates[i].median() < candidates[best].median()) best = i;
    }
    const double us = candidates[algorithms].median();  // the default
    bench_.results.add(
        R"({{"group": "integer", "shape": "{}", "bits": {}, "m": {}, "us": {:.2f}, )"
        R"("share": {:.3f}, "tflops": {:.0f}, "cut": "{}", "best_us": {:.2f}, "best_cut": "{}", )"
        R"("bf16_us": {:.2f}, "speed_of_bf16": {:.3f}}})",
        shape.name, four_bits ? 4 : 8, m, us, static_cast<double>(bytes) / (us * 1e-6) / kPeakBytes,
        2.0 * m * shape.n * shape.k / us * 1e-6, candidates[algorithms].name,
        candidates[best].median(), candidates[best].name, bf16, bf16 / us);
  }

 private:
  static size_t stored_bytes(const cuda::IntegerShape& shape) {
    const size_t codes = static_cast<size_t>(shape.n) * shape.k / rows_of_stored(shape);
    return codes + (shape.four_bits ? size_t{4} * shape.n * (shape.k / cuda::kIntegerGroup)
                                    : size_t{4} * shape.n);
  }
  static int calls_for(int m, size_t bytes) {
    return m > cuda::kIntegerTokens ? 4 : std::max(16, static_cast<int>(kColdBytes / bytes) + 1);
  }
  static const std::byte* weight(const std::byte* from, size_t bytes, int call) {
    return from + static_cast<size_t>(call) % (kWeightBytes / bytes) * bytes;
  }

  std::vector<Candidate> library(const Shape& shape, int m) const {
    const auto plan = cuda::LtPlan::find({.m = m,
                                          .n = shape.n,
                                          .k = shape.k,
                                          .x_stride = shape.k,
                                          .weight_stride = shape.k,
                                          .y_stride = shape.n,
                                          .operand = DType::kBF16,
                                          .y = DType::kBF16,
                                          .bias = false,
                                          .scales = cuda::LtScales::kNone});
    std::vector<Candidate> candidates;
    const size_t bytes = size_t{2} * shape.n * shape.k;
    for (int algorithm = 0; algorithm < plan->algorithms(); ++algorithm) {
      candidates.push_back({fmt::format("cublaslt {}", algorithm), [=, this](int call) {
                              plan->run(
                                  {x_, weight(bf16_, bytes, call), nullptr, nullptr, nullptr, y_},
                                  workspace_, bench_.stream, algorithm);
                            }});
    }
    return candidates;
  }

  cuda::IntegerGemm gemm(const cuda::IntegerShape& shape, int call) const {
    const size_t bytes = static_cast<size_t>(shape.n) * shape.k / rows_of_stored(shape);
    return {.shape = shape,
            .x = x_,
            .weight = reinterpret_cast<const uint8_t*>(weight(codes_, bytes, call)),
            .scale = reinterpret_cast<const float*>(scales_),
            .bias = nullptr,
            .y = y_,
            .x_stride = shape.k,
            .weight_stride = shape.k,
            .scale_stride = shape.four_bits ? shape.k / cuda::kIntegerGroup : 1,
            .y_stride = shape.n,
            .y_is_float = false};
  }

  std::vector<Candidate> few_tokens(const cuda::IntegerShape& shape) const {
    std::vector<Candidate> candidates;
    for (const cuda::IntegerConfig& config : cuda::integer_candidates(shape, kMultiprocessors)) {
      candidates.push_back(
          {to_string(config), [=, this](int call) {
             cuda::launch_integer_low_latency(gemm(shape, call), config, {bench_.stream, true});
           }});
    }
    return candidates;
  }

  std::vector<Candidate> many_tokens(const cuda::IntegerShape& shape) const {
    const int chosen = cuda::integer_large_rows(shape, kMultiprocessors);
    std::vector<Candidate> candidates;
    for (const int rows : {chosen, 384 - chosen}) {
      candidates.push_back(
          {fmt::format("{} rows", rows), [=, this](int call) {
             cuda::launch_integer_large(gemm(shape, call), rows, {bench_.stream, true});
           }});
    }
    return candidates;
  }

  Bench& bench_;
  std::byte *x_, *y_, *scales_;
  cuda::LtWorkspace workspace_;
  std::byte *codes_, *bf16_;
};

}  // namespace

void bench_integer(Bench& bench) {
  IntegerBench integer(bench);
  for (const Shape& shape : kShapes) {
    for (const bool four_bits : {false, true}) {
      for (const int m : {1, 16, 64, 1024, 2048}) integer.run(shape, four_bits, m);
    }
  }
}

}  // namespace octavo::bench
