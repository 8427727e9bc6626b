// Benchmarks of gate and up with SwiGLU for few tokens: fused, in two kernels, and by cuBLASLt.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/gemm/cublaslt.h"
#include "backend/cuda/pointwise/pointwise.h"
#include "kernels/cuda/gemm_operands.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {
namespace {

constexpr int kMostTokens = 64;

class SwigluBench {
 public:
  explicit SwigluBench(Bench& bench)
      : bench_(bench),
        operands_(make_operands(bench.arena, kMostTokens * 28672, kMostTokens * 28672 * 4)),
        codes_(bench.arena.take(kMostTokens * 28672)),
        workspace_{bench.arena.take(cuda::kLtWorkspaceBytes), cuda::kLtWorkspaceBytes} {}

  // Gate and up; `down` follows in the layer.
  void run(const GemmShape& shape, const GemmShape& down, int m) {
    for (const bool programmatic : {false, true}) {
      const cuda::Launch where = {bench_.stream, programmatic};
      cuda::LowLatencyConfig best;
      const double fused = best_fused(shape, m, where, best);
      const cuda::LowLatencyConfig chosen =
          cuda::low_latency_config(m, shape.n, shape.k, kMultiprocessors);
      const double as_chosen = time(shape, [&](int call) { fuse(shape, m, call, chosen, where); });
      const double unfused = time(shape, [&](int call) {
        cuda::launch_low_latency(make_gemm(operands_, shape, m, call), chosen, where);
        swiglu(shape, m, where);
      });
      bench_.results.add(
          R"({{"group": "low_latency_swiglu", "shape": "{}", "m": {}, "pdl": {}, "fused_us": {:.2f}, )"
          R"("share": {:.3f}, "best_us": {:.2f}, "best": "{}", "unfused_us": {:.2f}, )"
          R"("cublaslt_us": {:.2f}, "probe_us": {:.2f}, "fused_and_down_us": {:.2f}, )"
          R"("unfused_and_down_us": {:.2f}}})",
          shape.name, m, programmatic, as_chosen, share(shape.bytes(), as_chosen), fused,
          to_string(best), unfused, library(shape, m, where), probe(shape, programmatic),
          pair(shape, down, m, where, true), pair(shape, down, m, where, false));
    }
  }

 private:
  double time(const GemmShape& shape, const std::function<void(int)>& call) const {
    return time_calls(bench_.stream, calls_for(shape.bytes()), call);
  }

  void fuse(const GemmShape& shape, int m, int call, const cuda::LowLatencyConfig& config,
            const cuda::Launch& where) const {
    cuda::LowLatencyGemm gemm = make_gemm(operands_, shape, m, call);
    gemm.y = codes_;
    gemm.y_stride = shape.n / 2;
    gemm.output_scale = gemm.weight_scale + 3;
    gemm.segments = 2;
    gemm.segment_end[0] = shape.n / 2;
    gemm.segment_end[1] = shape.n;
    cuda::launch_low_latency_swiglu(gemm, config, where);
  }

  void swiglu(const GemmShape& shape, int m, const cuda::Launch& where) const {
    cuda::launch_swiglu({.a = operands_.y,
                         .b = operands_.y + shape.n,
                         .output_scale = reinterpret_cast<const float*>(operands_.scales) + 4,
                         .y = codes_,
                         .a_stride = shape.n,
                         .b_stride = shape.n,
                         .y_stride = shape.n / 2,
                         .rows = m,
                         .columns = shape.n / 2,
                         .vector = 8,
                         .activation = DType::kBF16,
                         .output = DType::kE4M3},
                        where);
  }

  double best_fused(const GemmShape& shape, int m, const cuda::Launch& where,
                    cuda::LowLatencyConfig& best) const {
    double least = 1e30;
    for (const cuda::LowLatencyConfig& config :
         cuda::low_latency_candidates(m, shape.n, shape.k, kMultiprocessors)) {
      const double us = time(shape, [&](int call) { fuse(shape, m, call, config, where); });
      if (us < least) least = us, best = config;
    }
    return least;
  }

  // The library's fastest algorithm, with scalar scales, and SwiGLU.
  double library(const GemmShape& shape, int m, const cuda::Launch& where) const {
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
    if (plan == nullptr) return 0;
    const auto* scale = reinterpret_cast<const float*>(operands_.scales);
    double least = 1e30;
    for (int algorithm = 0; algorithm < plan->algorithms(); ++algorithm) {
      least = std::min(least, time(shape, [&](int call) {
                         plan->run({operands_.x, operands_.weight(call, shape.bytes()), scale,
                                    scale, nullptr, operands_.y},
                                   workspace_, bench_.stream, algorithm);
                         swiglu(shape, m, where);
                       }));
    }
    return least;
  }

  double probe(const GemmShape& shape, bool programmatic) const {
    double least = 1e30;
    for (const int ctas : {1, 2, 4}) {
      least = std::min(least, time(shape, [&](int call) {
                         launch_stream_probe(operands_.weight(call, shape.bytes()), shape.bytes(),
                                             ctas * kMultiprocessors, true, programmatic,
                                             operands_.y, bench_.stream);
                       }));
    }
    return least;
  }

  // Gate and up, SwiGLU, down: µs for the three of a layer, weights of eight layers in turn.
  double pair(const GemmShape& shape, const GemmShape& down, int m, const cuda::Launch& where,
              bool fused) const {
    const size_t layer = shape.bytes() + down.bytes();
    const auto config = [&](const GemmShape& of) {
      return cuda::low_latency_config(m, of.n, of.k, kMultiprocessors);
    };
    return time_calls(bench_.stream, 8, [&](int call) {
      Operands at = operands_;
      at.weights += static_cast<size_t>(call) * layer;
      if (fused) {
        SwigluBench on = *this;
        on.operands_ = at;
        on.fuse(shape, m, 0, config(shape), where);
      } else {
        cuda::launch_low_latency(make_gemm(at, shape, m, 0), config(shape), where);
        swiglu(shape, m, where);
      }
      at.weights += shape.bytes();
      cuda::LowLatencyGemm gemm = make_gemm(at, down, m, 0);
      gemm.x = reinterpret_cast<const uint8_t*>(codes_);
      gemm.y = operands_.y;
      cuda::launch_low_latency(gemm, config(down), where);
    });
  }

  Bench& bench_;
  Operands operands_;
  std::byte* codes_;
  cuda::LtWorkspace workspace_;
};

}  // namespace

void bench_low_latency_swiglu(Bench& bench) {
  SwigluBench swiglu(bench);
  for (const int first : {0, 4}) {
    for (const int m : {1, 2, 4, 8, 16, 32, 64})
      swiglu.run(kShapes[first + 2], kShapes[first + 3], m);
  }
}

}  // namespace octavo::bench
