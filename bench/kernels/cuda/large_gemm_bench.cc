// Benchmarks of linear for many tokens beside cuBLASLt, alone and with SwiGLU, in turns.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/cublaslt.h"
#include "backend/cuda/gemm/sm90_fp8_gemm.h"
#include "backend/cuda/pointwise/pointwise.h"
#include "core/error.h"
#include "kernels/cuda/groups.h"
#include "kernels/cuda/turns.h"

namespace octavo::bench {
namespace {

constexpr int kMultiprocessors = 132;
constexpr int kMostTokens = 8192;
constexpr int kWidest = 28672;

struct Shape {
  const char* name;
  int n, k;
  bool swiglu;
  size_t bytes() const { return static_cast<size_t>(n) * k; }
};
constexpr Shape kShapes[] = {
    {"70B/4 qkv", 2560, 8192, false},     {"70B/4 o", 8192, 2048, false},
    {"70B/4 gate_up", 14336, 8192, true}, {"70B/4 down", 8192, 7168, false},
    {"8B qkv", 6144, 4096, false},        {"8B o", 4096, 4096, false},
    {"8B gate_up", 28672, 4096, true},    {"8B down", 4096, 14336, false},
};

class LargeBench {
 public:
  explicit LargeBench(Bench& bench)
      : bench_(bench),
        x_(bench.arena.take(size_t{kMostTokens} * 14336)),
        y_(bench.arena.take(size_t{kMostTokens} * kWidest * 2)),
        codes_(bench.arena.take(size_t{kMostTokens} * kWidest / 2)),
        scales_(bench.arena.take(1024)),
        workspace_{bench.arena.take(cuda::kLtWorkspaceBytes), cuda::kLtWorkspaceBytes},
        weights_(bench.arena.take(kWeightBytes)) {
    const float scale = 1.0f / 512;
    for (int i = 0; i < 16; ++i)
      OCTAVO_CUDA_CHECK(cudaMemcpy(scales_ + 4 * i, &scale, 4, cudaMemcpyHostToDevice));
  }

  void run(const Shape& shape, int m) {
    std::vector<Candidate> candidates = library(shape, m);
    const size_t algorithms = candidates.size();
    for (const int columns : {256, 192, 160, 128}) {
      for (const bool share_x : {false, true}) {
        if (m > 512 && share_x) continue;
        const cuda::LargeGemmConfig config = {columns, share_x};
        candidates.push_back(
            {fmt::format("{}{}", columns, share_x ? " shared x" : ""), [=, this](int call) {
               cuda::launch_large_gemm(gemm(shape, m, call, y_), config, {bench_.stream, true});
             }});
      }
    }
    time_in_turns(bench_, calls_of(shape, m), candidates);
    const double best = best_of(candidates, algorithms);
    const cuda::LargeGemmConfig chosen = cuda::large_gemm_config(m, shape.n, kMultiprocessors);
    std::string each;
    double own = 0;
    for (size_t i = algorithms; i < candidates.size(); ++i) {
      each += fmt::format("{}\"{}\": {:.2f}", each.empty() ? "" : ", ", candidates[i].name,
                          candidates[i].median());
      const auto name = fmt::format("{}{}", chosen.columns, chosen.share_x ? " shared x" : "");
      if (candidates[i].name == name) own = candidates[i].median();
    }
    bench_.results.add(
        R"({{"group": "large", "shape": "{}", "m": {}, "cublaslt_first_us": {:.2f}, )"
        R"("cublaslt_best_us": {:.2f}, "own_us": {:.2f}, "tflops": {:.0f}, "speedup": {:.3f}, )"
        R"("cuts": {{{}}}}})",
        shape.name, m, candidates[0].median(), best, own, 2.0 * m * shape.n * shape.k / own * 1e-6,
        candidates[0].median() / own, each);
  }

  // gate_up, swiglu and quantize.
  void run_swiglu(const Shape& shape, int m) {
    const auto swiglu = [=, this] {
      cuda::launch_swiglu({.a = y_,
                           .b = y_ + shape.n,
                           .output_scale = scale(15),
                           .y = codes_,
                           .a_stride = shape.n,
                           .b_stride = shape.n,
                           .y_stride = shape.n / 2,
                           .rows = m,
                           .columns = shape.n / 2,
                           .vector = 8,
                           .activation = DType::kBF16,
                           .output = DType::kE4M3},
                          {bench_.stream, true});
    };
    std::vector<Candidate> candidates = library(shape, m);
    for (Candidate& candidate : candidates)
      candidate.call = [call = candidate.call, swiglu](int i) { call(i), swiglu(); };
    const size_t algorithms = candidates.size();
    candidates.push_back({"own unfused", [=, this](int call) {
                            cuda::launch_large_gemm(
                                gemm(shape, m, call, y_),
                                cuda::large_gemm_config(m, shape.n, kMultiprocessors),
                                {bench_.stream, true});
                            swiglu();
                          }});
    candidates.push_back({"fused", [=, this](int call) {
                            cuda::launch_large_gemm_swiglu(
                                gemm(shape, m, call, codes_),
                                cuda::large_gemm_swiglu_config(m, shape.n, kMultiprocessors),
                                {bench_.stream, true});
                          }});
    time_in_turns(bench_, calls_of(shape, m), candidates);
    const double best = best_of(candidates, algorithms);
    const double unfused = candidates[algorithms].median();
    const double fused = candidates[algorithms + 1].median();
    bench_.results.add(
        R"({{"group": "large_swiglu", "shape": "{}", "m": {}, "cublaslt_first_us": {:.2f}, )"
        R"("cublaslt_best_us": {:.2f}, "own_unfused_us": {:.2f}, "fused_us": {:.2f}, )"
        R"("tflops": {:.0f}, "speedup": {:.3f}}})",
        shape.name, m, candidates[0].median(), best, unfused, fused,
        2.0 * m * shape.n * shape.k / fused * 1e-6, candidates[0].median() / fused);
  }

 private:
  static constexpr size_t kWeightBytes = size_t{1} << 30;

  const float* scale(int index) const { return reinterpret_cast<const float*>(scales_) + index; }
  const std::byte* weight(const Shape& shape, int call) const {
    return weights_ + static_cast<size_t>(call) % (kWeightBytes / shape.bytes()) * shape.bytes();
  }
  // Weights of several times the L2 for few tokens.
  static int calls_of(const Shape& shape, int m) {
    return m >= 2048 ? 3 : std::max(6, static_cast<int>((size_t{200} << 20) / shape.bytes()) + 1);
  }
  static double best_of(std::vector<Candidate>& candidates, size_t count) {
    double best = 1e30;
    for (size_t i = 0; i < count; ++i) best = std::min(best, candidates[i].median());
    return best;
  }

  std::vector<Candidate> library(const Shape& shape, int m) const {
    const auto plan = cuda::LtPlan::find({.m = m,
                                          .n = shape.n,
                                          .k = shape.k,
                                          .x_stride = shape.k,
                                          .weight_stride = shape.k,
                                          .y_stride = shape.n,
                                          .operand = DType::kE4M3,
                                          .y = DType::kBF16,
                                          .bias = false,
                                          .scales = cuda::LtScales::kScalar});
    if (plan == nullptr) throw Error(ErrorCategory::kUnsupported, "[bench] cuBLASLt: no plan");
    std::vector<Candidate> candidates;
    for (int algorithm = 0; algorithm < plan->algorithms(); ++algorithm) {
      candidates.push_back({fmt::format("cublaslt {}", algorithm), [=, this](int call) {
                              plan->run({x_, weight(shape, call), scale(0), scale(0), nullptr, y_},
                                        workspace_, bench_.stream, algorithm);
                            }});
    }
    return candidates;
  }

  cuda::LargeGemm gemm(const Shape& shape, int m, int call, std::byte* y) const {
    const bool codes = y == codes_;
    return {.x = reinterpret_cast<const uint8_t*>(x_),
            .weight = reinterpret_cast<const uint8_t*>(weight(shape, call)),
            .input_scale = scale(0),
            .weight_scale = scale(1),
            .bias = nullptr,
            .y = y,
            .output_scale = scale(15),
            .x_stride = shape.k,
            .weight_stride = shape.k,
            .y_stride = codes ? shape.n / 2 : shape.n,
            .m = m,
            .n = shape.n,
            .k = shape.k,
            .segments = 1,
            .segment_end = {shape.n}};
  }

  Bench& bench_;
  std::byte *x_, *y_, *codes_, *scales_;
  cuda::LtWorkspace workspace_;
  std::byte* weights_;
};

}  // namespace

void bench_large(Bench& bench) {
  LargeBench large(bench);
  for (const int m : {2048, 8192, 512, 256, 128}) {
    for (const Shape& shape : kShapes) {
      large.run(shape, m);
      if (shape.swiglu) large.run_swiglu(shape, m);
    }
  }
}

}  // namespace octavo::bench
