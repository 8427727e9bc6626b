// Benchmarks of attention: decode against the bytes of the cache, context against its operations.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <random>

#include "backend/cuda/attention/attention.h"
#include "kernels/cuda/groups.h"
#include "kernels/cuda/probe.h"

namespace octavo::bench {
namespace {

constexpr double kPeakBytes = 4.66e12;
constexpr int kPage = 64;
constexpr int kMultiprocessors = 132;

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
  size_t read_bytes;   // of both, without what lies past a sequence's end
  int sets;
  const std::byte* base;
};

// Sequences of these contexts, the last `queries` tokens of which are in the step; pages in random
// order; caches rotate so that none stays in L2.
Setup make_setup(Bench& bench, const Heads& heads, DType cache, const std::vector<int>& contexts,
                 int queries) {
  Arena& arena = bench.arena;
  arena.used = 0;
  const int sequences = static_cast<int>(contexts.size());
  const int width = (*std::max_element(contexts.begin(), contexts.end()) + kPage - 1) / kPage;
  int pages = 0;
  for (const int context : contexts) pages += (context + kPage - 1) / kPage;
  std::vector<int32_t> order(pages);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  std::vector<int32_t> table(static_cast<size_t>(sequences) * width);
  std::vector<int32_t> start(sequences);
  size_t next = 0;
  for (int i = 0; i < sequences; ++i) {
    start[i] = i * queries;
    for (int page = 0; page * kPage < contexts[i]; ++page) table[i * width + page] = order[next++];
  }
  Setup setup = {};
  const size_t token_bytes = heads.kv_heads * heads.head_dim * size_of(cache);
  setup.cache_bytes = pages * kPage * token_bytes;
  setup.read_bytes = 2 * token_bytes * std::accumulate(contexts.begin(), contexts.end(), size_t{0});
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
                .kv_length = upload(arena, contexts),
                .block_table = upload(arena, table),
                .k_scale = codes ? scale : nullptr,
                .v_scale = codes ? scale : nullptr,
                .y = y,
                .q_stride = heads.heads * heads.head_dim,
                .y_stride = heads.heads * heads.head_dim,
                .table_stride = width,
                .tokens = tokens,
                .cache_blocks = pages,
                .sequences = sequences,
                .table_width = width,
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

struct Batch {
  const char* lengths;
  std::vector<int> contexts;
};

Batch equal_lengths(int sequences, int context) {
  return {"equal", std::vector<int>(sequences, context)};
}

// As a server meets them: evenly spread between a short prompt and twice the mean, in random order.
Batch mixed_lengths(int sequences, int mean) {
  Batch batch = {"mixed", {}};
  std::mt19937 engine(2);
  std::uniform_int_distribution<int> length(64, 2 * mean - 64);
  for (int i = 0; i < sequences; ++i) batch.contexts.push_back(length(engine));
  return batch;
}

void bench_decode(Bench& bench, const Heads& heads, DType cache, const Batch& batch) {
  const Setup setup = make_setup(bench, heads, cache, batch.contexts, 1);
  const int sequences = setup.call.sequences;
  const cuda::DecodePlan chosen = cuda::plan_decode(sequences, heads.kv_heads, kMultiprocessors);
  for (const bool programmatic : {false, true}) {
    for (const int split : {2, 4, 8, 16}) {
      if (split * sequences > 1024 && split != chosen.split) continue;
      cuda::DecodePlan plan = chosen;
      plan.split = split;
      const double us = time_calls(bench.stream, std::max(4, setup.sets), [&](int index) {
        cuda::launch_attention_decode(rotated(setup, index), plan, {bench.stream, programmatic});
      });
      bench.results.add(
          R"({{"group": "decode_attention", "model": "{}", "cache": "{}", "batch": {}, )"
          R"("lengths": "{}", "split": {}, "chosen": {}, "pdl": {}, "us": {:.2f}, )"
          R"("share": {:.3f}}})",
          heads.name, to_string(cache), sequences, batch.lengths, split, split == chosen.split,
          programmatic, us, static_cast<double>(setup.read_bytes) / (us * 1e-6) / kPeakBytes);
    }
  }
}

void bench_context(Bench& bench, const Heads& heads, DType cache, int sequences, int queries,
                   int context, bool fp8 = false) {
  const Setup setup =
      make_setup(bench, heads, cache, std::vector<int>(sequences, context), queries);
  const double us = time_calls(
      bench.stream, 4,
      [&](int index) {
        const auto launch_tiles =
            fp8 ? cuda::launch_attention_context_fp8 : cuda::launch_attention_context;
        launch_tiles(rotated(setup, index), {.least = 2}, {bench.stream, false});
      },
      5);
  const double past = context - queries;
  const double pairs = queries * past + 0.5 * queries * (queries + 1.0);
  bench.results.add(
      R"({{"group": "context_attention", "model": "{}", "cache": "{}", "fp8": {}, )"
      R"("batch": {}, "queries": {}, "context": {}, "us": {:.1f}, "tflops": {:.0f}}})",
      heads.name, to_string(cache), fp8, sequences, queries, context, us,
      4.0 * pairs * heads.head_dim * heads.heads * sequences / us * 1e-6);
}

}  // namespace

void bench_decode_attention(Bench& bench) {
  constexpr int kContext = 3072;
  for (const Heads& heads : kModels) {
    for (const DType cache : {DType::kE4M3, DType::kBF16}) {
      for (const int sequences : {1, 8, 64, 256})
        bench_decode(bench, heads, cache, equal_lengths(sequences, kContext));
      if (cache == DType::kE4M3) bench_decode(bench, heads, cache, equal_lengths(512, kContext));
      for (const int sequences : {64, 256})
        bench_decode(bench, heads, cache, mixed_lengths(sequences, kContext));
    }
  }
}

void bench_context_attention(Bench& bench) {
  for (const Heads& heads : kModels) {
    for (const auto& [cache, fp8] :
         {std::pair(DType::kE4M3, false), {DType::kE4M3, true}, {DType::kBF16, false}}) {
      bench_context(bench, heads, cache, 1, 2048, 2048, fp8);
      bench_context(bench, heads, cache, 4, 2048, 2048, fp8);
      bench_context(bench, heads, cache, 1, 2048, 16384, fp8);
      bench_context(bench, heads, cache, 1, 8192, 8192, fp8);
    }
  }
}

}  // namespace octavo::bench
