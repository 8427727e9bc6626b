// Benchmarks of attention: decode against the bytes of the cache, context against its operations.
// SPDX-License-Identifier: Apache-2.0
#include <numeric>
#include <random>

#include "backend/cuda/attention/attention.h"
#include "kernels/cuda/groups.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {
namespace {

constexpr double kPeakBytes = 4.66e12;
constexpr int kPage = 64;

struct Heads {
  const char* name;
  int heads, kv_heads, head_dim;
};
constexpr Heads kModels[] = {{"8B", 32, 8, 128}, {"70B/4", 16, 2, 128}, {"1B", 32, 8, 64}};

template <typename T>
T* upload(Arena& arena, const std::vector<T>& values) {
  T* to = reinterpret_cast<T*>(arena.take(values.size() * sizeof(T)));
  OCTAVO_CUDA_CHECK(
      cudaMemcpy(to, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return to;
}

struct Setup {
  cuda::AttentionCall call;
  size_t cache_bytes;  // of k, and of v: one of `sets` copies
  int sets;
  const std::byte* base;
};

// `sequences` sequences of `context` tokens, the last `queries` of which are in the step; pages in
// random order; caches rotate so that none stays in L2.
Setup make_setup(Bench& bench, const Heads& heads, DType cache, int sequences, int queries,
                 int context) {
  Arena& arena = bench.arena;
  arena.used = 0;
  const int pages = (context + kPage - 1) / kPage;
  std::vector<int32_t> table(static_cast<size_t>(sequences) * pages);
  std::iota(table.begin(), table.end(), 0);
  std::shuffle(table.begin(), table.end(), std::mt19937(1));
  std::vector<int32_t> start(sequences);
  for (int i = 0; i < sequences; ++i) start[i] = i * queries;
  Setup setup = {};
  setup.cache_bytes = table.size() * heads.kv_heads * kPage * heads.head_dim * size_of(cache);
  setup.sets = std::max(1, static_cast<int>((400u << 20) / (2 * setup.cache_bytes)) + 1);
  const int64_t tokens = static_cast<int64_t>(sequences) * queries;
  auto* q = arena.take(tokens * heads.heads * heads.head_dim * 2);
  fill_bf16(q, tokens * heads.heads * heads.head_dim, 2.0f, 3);
  const bool codes = cache == DType::kE4M3;
  const float* scale = upload<float>(arena, {0.01f});
  std::byte* y = arena.take(tokens * heads.heads * heads.head_dim * 2);
  setup.base = arena.take(setup.cache_bytes * 2 * setup.sets);
  if (!codes)
    fill_bf16(const_cast<std::byte*>(setup.base), setup.cache_bytes * setup.sets, 1.0f, 4);
  setup.call = {.q = q,
                .query_start = upload(arena, start),
                .query_length = upload(arena, std::vector<int32_t>(sequences, queries)),
                .kv_length = upload(arena, std::vector<int32_t>(sequences, context)),
                .block_table = upload(arena, table),
                .k_scale = codes ? scale : nullptr,
                .v_scale = codes ? scale : nullptr,
                .y = y,
                .q_stride = heads.heads * heads.head_dim,
                .y_stride = heads.heads * heads.head_dim,
                .table_stride = pages,
                .tokens = tokens,
                .sequences = sequences,
                .table_width = pages,
                .tokens_per_block = kPage,
                .heads = heads.heads,
                .kv_heads = heads.kv_heads,
                .head_dim = heads.head_dim,
                .softmax_scale = 0.0884f,
                .activation = DType::kBF16,
                .cache = cache,
                .output = DType::kBF16};
  OCTAVO_CUDA_CHECK(cudaDeviceSynchronize());
  return setup;
}

cuda::AttentionCall rotated(const Setup& setup, int index) {
  cuda::AttentionCall call = setup.call;
  call.k_cache = setup.base + index % setup.sets * 2 * setup.cache_bytes;
  call.v_cache = call.k_cache + setup.cache_bytes;
  return call;
}

void bench_decode(Bench& bench, const Heads& heads, DType cache, int sequences, int context) {
  const Setup setup = make_setup(bench, heads, cache, sequences, 1, context);
  const int chosen = cuda::decode_split(sequences, heads.kv_heads, 132);
  for (const bool programmatic : {false, true}) {
    for (const int split : {1, 2, 4, 8}) {
      const double us = time_calls(bench.stream, std::max(8, setup.sets), [&](int index) {
        cuda::launch_attention_decode(rotated(setup, index), {.split = split},
                                      {bench.stream, programmatic});
      });
      bench.results.add(
          R"({{"group": "decode_attention", "model": "{}", "cache": "{}", "batch": {}, )"
          R"("context": {}, "split": {}, "chosen": {}, "pdl": {}, "us": {:.2f}, )"
          R"("share": {:.3f}}})",
          heads.name, to_string(cache), sequences, context, split, split == chosen, programmatic,
          us, 2.0 * static_cast<double>(setup.cache_bytes) / (us * 1e-6) / kPeakBytes);
    }
  }
}

void bench_context(Bench& bench, const Heads& heads, DType cache, int sequences, int queries,
                   int context) {
  const Setup setup = make_setup(bench, heads, cache, sequences, queries, context);
  const double us = time_calls(
      bench.stream, 4,
      [&](int index) {
        cuda::launch_attention_context(rotated(setup, index), {.least = 2}, {bench.stream, false});
      },
      5);
  const double past = context - queries;
  const double pairs = queries * past + 0.5 * queries * (queries + 1.0);
  bench.results.add(R"({{"group": "context_attention", "model": "{}", "cache": "{}", "batch": {}, )"
                    R"("queries": {}, "context": {}, "us": {:.1f}, "tflops": {:.0f}}})",
                    heads.name, to_string(cache), sequences, queries, context, us,
                    4.0 * pairs * heads.head_dim * heads.heads * sequences / us * 1e-6);
}

}  // namespace

void bench_attention(Bench& bench) {
  for (const Heads& heads : kModels) {
    for (const DType cache : {DType::kE4M3, DType::kBF16}) {
      for (const int sequences : {1, 8, 64}) bench_decode(bench, heads, cache, sequences, 3072);
    }
  }
}

void bench_context_attention(Bench& bench) {
  for (const Heads& heads : kModels) {
    for (const DType cache : {DType::kE4M3, DType::kBF16}) {
      bench_context(bench, heads, cache, 1, 2048, 2048);
      bench_context(bench, heads, cache, 4, 2048, 2048);
      bench_context(bench, heads, cache, 1, 2048, 16384);
      bench_context(bench, heads, cache, 1, 8192, 8192);
    }
  }
}

}  // namespace octavo::bench
