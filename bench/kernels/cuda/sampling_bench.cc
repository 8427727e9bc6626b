// Benchmarks of what surrounds the model on the device: sampling, dummy weights, observers.
// SPDX-License-Identifier: Apache-2.0
#include <random>

#include "backend/cuda/dummy/fill.h"
#include "backend/cuda/observe/observe.h"
#include "backend/cuda/sampling/sampling.h"
#include "kernels/cuda/groups.h"

namespace octavo::bench {
namespace {

constexpr int32_t kVocab = 128256;
constexpr int32_t kMaxRows = 512;
constexpr int kDifferentRows = 8;
constexpr double kBandwidth = 4.66e6;  // bytes a µs

template <typename T>
T* take(Arena& arena, size_t count) {
  return reinterpret_cast<T*>(arena.take(count * sizeof(T)));
}

template <typename T>
void upload(T* to, const std::vector<T>& values) {
  OCTAVO_CUDA_CHECK(
      cudaMemcpy(to, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
}

struct Case {
  const char* name;
  bool only_greedy;
  SamplingRow row;
};

std::vector<Case> sampling_cases() {
  const SamplingRow drawn = {.greedy = false};
  std::vector<Case> cases = {{"greedy", true, {}},
                             {"greedy_any", false, {}},
                             {"temperature", false, drawn},
                             {"top_k_50", false, drawn},
                             {"top_p_0.9", false, drawn},
                             {"top_k_50_top_p_0.9", false, drawn},
                             {"min_p_0.05", false, drawn},
                             {"greedy_penalties", false, {}},
                             {"greedy_logprobs_20", false, {}}};
  cases[3].row.top_k = cases[5].row.top_k = 50;
  cases[4].row.top_p = cases[5].row.top_p = 0.9f;
  cases[6].row.min_p = 0.05f;
  cases[7].row.has_penalties = true;
  cases[7].row.repetition_penalty = 1.1f;
  cases[8].row.logprobs = true;
  cases[8].row.num_top = 20;
  return cases;
}

// Every eighth row is the same; 512 of them are more than L2 holds.
SampleArgs make_sample_args(Arena& arena) {
  float* logits = take<float>(arena, size_t{kMaxRows} * kVocab);
  std::vector<float> host(size_t{kDifferentRows} * kVocab);
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 2.5f);
  for (float& x : host) x = normal(random);
  for (int row = 0; row < kMaxRows; row += kDifferentRows)
    upload(logits + int64_t{row} * kVocab, host);
  uint32_t* counts = take<uint32_t>(arena, size_t{kMaxRows} * kVocab);
  OCTAVO_CUDA_CHECK(cudaMemset(counts, 0, size_t{kMaxRows} * kVocab * sizeof(uint32_t)));
  return {.logits = logits,
          .end_ids = take<int32_t>(arena, 1),
          .counts = counts,
          .last_token = take<int32_t>(arena, kMaxRows),
          .sampled = take<SampledRow>(arena, kMaxRows),
          .top = take<TopLogprob>(arena, kMaxRows * kMaxTopLogprobs),
          .logits_stride = kVocab,
          .vocab_size = kVocab};
}

void time_sampling(Bench& bench) {
  SampleArgs args = make_sample_args(bench.arena);
  auto* rows = take<SamplingRow>(bench.arena, kMaxRows);
  args.rows = rows;
  for (const Case& one : sampling_cases()) {
    std::vector<SamplingRow> host(kMaxRows, one.row);
    for (int32_t i = 0; i < kMaxRows; ++i) {
      host[i].slot = i;
      host[i].output_index = i;
    }
    upload(rows, host);
    for (const int32_t num_rows : {1, 8, 64, kMaxRows}) {
      args.num_rows = num_rows;
      const double us = time_calls(bench.stream, num_rows < 512 ? 20 : 4, [&](int) {
        const cuda::Launch where{bench.stream};
        one.only_greedy ? cuda::launch_greedy(args, where) : cuda::launch_sample(args, where);
      });
      const double floor = double{kVocab} * sizeof(float) * num_rows / kBandwidth;
      bench.results.add(
          R"({{"group": "sampling", "case": "{}", "rows": {}, "vocab_size": {}, "us": {:.2f}, )"
          R"("floor_us": {:.2f}}})",
          one.name, num_rows, kVocab, us, floor);
    }
  }
}

void time_fills(Bench& bench) {
  constexpr int64_t kBytes = int64_t{8} << 30;
  std::byte* to = bench.arena.take(kBytes);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kE4M3}) {
    const int64_t count = kBytes / size_of(dtype);
    const double us = time_calls(
        bench.stream, 1,
        [&](int) {
          cuda::launch_random_fill(
              {.to = to, .dtype = dtype, .width = 1.0f, .seed = 3, .first = 0, .count = count},
              {bench.stream});
        },
        3);
    bench.results.add(
        R"({{"group": "sampling", "case": "random_fill", "dtype": "{}", "bytes": {}, "us": {:.0f}, )"
        R"("floor_us": {:.0f}}})",
        to_string(dtype), kBytes, us, kBytes / kBandwidth);
  }
}

void time_observers(Bench& bench) {
  auto* totals = take<ObservedTotals>(bench.arena, 1);
  for (const int64_t columns : {1024, 4096, 14336}) {
    constexpr int64_t kRows = 16384;
    float* x = take<float>(bench.arena, kRows * columns);
    cuda::launch_random_fill({.to = x,
                              .dtype = DType::kBF16,
                              .width = 3.0f,
                              .seed = 3,
                              .first = 0,
                              .count = kRows * columns},
                             {bench.stream});
    const double us = time_calls(bench.stream, 4, [&](int) {
      cuda::launch_observe({.data = x,
                            .dtype = DType::kBF16,
                            .rows = kRows,
                            .columns = columns,
                            .row_stride = columns,
                            .totals = totals},
                           {bench.stream});
    });
    bench.results.add(
        R"({{"group": "sampling", "case": "observe", "rows": {}, "columns": {}, "us": {:.1f}, )"
        R"("floor_us": {:.1f}}})",
        kRows, columns, us, 2.0 * kRows * columns / kBandwidth);
  }
}

}  // namespace

void bench_sampling(Bench& bench) {
  time_sampling(bench);
  time_fills(bench);
  time_observers(bench);
}

}  // namespace octavo::bench
