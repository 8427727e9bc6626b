// Benchmarks of linear: the streaming floor, the low-latency kernel, cuBLASLt, and a layer's chain.
// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "backend/cuda/gemm/cublaslt.h"
#include "kernels/cuda/gemm_operands.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {
namespace {

double time_low_latency(Bench& bench, const Operands& operands, const GemmShape& shape, int m,
                        const cuda::LowLatencyConfig& config, bool programmatic) {
  return time_calls(bench.stream, calls_for(shape.bytes()), [&](int call) {
    cuda::launch_low_latency(make_gemm(operands, shape, m, call), config,
                             {bench.stream, programmatic});
  });
}

struct Timed {
  double us;
  cuda::LowLatencyConfig config;
};

std::vector<Timed> time_configurations(Bench& bench, const Operands& operands,
                                       const GemmShape& shape, int m, bool programmatic) {
  std::vector<Timed> timed;
  for (const cuda::LowLatencyConfig& config :
       cuda::low_latency_candidates(m, shape.n, shape.k, kMultiprocessors))
    timed.push_back({time_low_latency(bench, operands, shape, m, config, programmatic), config});
  std::sort(timed.begin(), timed.end(), [](const Timed& a, const Timed& b) { return a.us < b.us; });
  return timed;
}

}  // namespace

void bench_probe(Bench& bench) {
  const Operands operands = make_operands(bench.arena, 1 << 20, 1 << 20);
  std::set<size_t> sizes;
  for (const GemmShape& shape : kShapes) sizes.insert(shape.bytes());
  for (const size_t bytes : sizes) {
    for (const bool programmatic : {false, true}) {
      double best = 1e30;
      std::string how;
      for (const int ctas : {1, 2, 4}) {
        for (const bool deep : {false, true}) {
          const double us = time_calls(bench.stream, calls_for(bytes), [&](int call) {
            launch_stream_probe(operands.weight(call, bytes), bytes, ctas * kMultiprocessors, deep,
                                programmatic, operands.y, bench.stream);
          });
          if (us >= best) continue;
          best = us;
          how = fmt::format("{} ctas an SM, {} loads", ctas, deep ? 8 : 4);
        }
      }
      bench.results.add(
          R"({{"group": "probe", "bytes": {}, "pdl": {}, "us": {:.2f}, "share": {:.3f}, )"
          R"("how": "{}"}})",
          bytes, programmatic, best, share(bytes, best), how);
    }
  }
}

void bench_low_latency(Bench& bench) {
  const Operands operands = make_operands(bench.arena, 64 * 28672, 64 * 28672 * 4);
  for (const GemmShape& shape : kShapes) {
    for (const int m : {1, 8, 16, 32, 64}) {
      for (const bool programmatic : {false, true}) {
        const auto timed = time_configurations(bench, operands, shape, m, programmatic);
        for (size_t i = 0; i < std::min<size_t>(timed.size(), 3); ++i)
          bench.results.add(
              R"({{"group": "low_latency", "shape": "{}", "m": {}, "pdl": {}, "rank": {}, )"
              R"("us": {:.2f}, "share": {:.3f}, "config": "{}"}})",
              shape.name, m, programmatic, i, timed[i].us, share(shape.bytes(), timed[i].us),
              to_string(timed[i].config));
      }
    }
  }
}

void bench_chain(Bench& bench) {
  const Operands operands = make_operands(bench.arena, 64 * 28672, 64 * 28672 * 4);
  for (const int first : {0, 4}) {
    size_t bytes = 0;
    for (int i = 0; i < 4; ++i) bytes += kShapes[first + i].bytes();
    for (const int m : {1, 16, 64}) {
      for (const bool programmatic : {false, true}) {
        const double us = time_calls(bench.stream, 8, [&](int layer) {
          size_t at = static_cast<size_t>(layer) * bytes;
          for (int i = 0; i < 4; ++i) {
            const GemmShape& shape = kShapes[first + i];
            cuda::LowLatencyGemm gemm = make_gemm(operands, shape, m, 0);
            gemm.weight = reinterpret_cast<const uint8_t*>(operands.weights + at);
            at += shape.bytes();
            cuda::launch_low_latency(
                gemm, cuda::low_latency_config(m, shape.n, shape.k, kMultiprocessors),
                {bench.stream, programmatic});
          }
        });
        bench.results.add(
            R"({{"group": "chain", "model": "{}", "m": {}, "pdl": {}, "us_a_layer": {:.2f}, )"
            R"("share": {:.3f}}})",
            first == 0 ? "70B/4" : "8B", m, programmatic, us, share(bytes, us));
      }
    }
  }
}

void bench_cublaslt(Bench& bench) {
  const Operands operands = make_operands(bench.arena, 8192ull * 28672, 8192ull * 28672 * 2);
  const cuda::LtWorkspace workspace = {bench.arena.take(cuda::kLtWorkspaceBytes),
                                       cuda::kLtWorkspaceBytes};
  const auto* vectors = reinterpret_cast<const float*>(bench.arena.take(1 << 20));
  for (const GemmShape& shape : kShapes) {
    for (const int m : {1, 8, 16, 32, 64, 128, 256, 2048, 8192}) {
      for (const auto scales : {cuda::LtScales::kScalar, cuda::LtScales::kOuterVector}) {
        const auto plan = cuda::LtPlan::find({.m = m,
                                              .n = shape.n,
                                              .k = shape.k,
                                              .x_stride = shape.k,
                                              .weight_stride = shape.k,
                                              .y_stride = shape.n,
                                              .operand = DType::kE4M3,
                                              .y = DType::kBF16,
                                              .bias = false,
                                              .scales = scales});
        const bool vector = scales == cuda::LtScales::kOuterVector;
        if (plan == nullptr && vector) continue;  // the linear then takes one product a segment
        if (plan == nullptr) {
          bench.results.add(
              R"({{"group": "cublaslt", "shape": "{}", "m": {}, "vector_scales": {}, )"
              R"("supported": false}})",
              shape.name, m, vector);
          continue;
        }
        const auto* scale = vector ? vectors : reinterpret_cast<const float*>(operands.scales);
        const int calls = m >= 2048 ? 4 : calls_for(shape.bytes());
        double first = 0;
        double best = 1e30;
        int winner = 0;
        for (int algorithm = 0; algorithm < plan->algorithms(); ++algorithm) {
          const double us = time_calls(
              bench.stream, calls,
              [&](int call) {
                plan->run({operands.x, operands.weight(call, shape.bytes()), scale, scale, nullptr,
                           operands.y},
                          workspace, bench.stream, algorithm);
              },
              5);
          if (algorithm == 0) first = us;
          if (us < best) best = us, winner = algorithm;
        }
        bench.results.add(
            R"({{"group": "cublaslt", "shape": "{}", "m": {}, "vector_scales": {}, )"
            R"("first_us": {:.2f}, "best_us": {:.2f}, "best": {}, "of": {}, "share": {:.3f}, )"
            R"("tflops": {:.0f}}})",
            shape.name, m, vector, first, best, winner, plan->algorithms(),
            share(shape.bytes(), best), 2.0 * m * shape.n * shape.k / best * 1e-6);
      }
    }
  }
}

}  // namespace octavo::bench
