// Attention over the paged cache in double: two passes over the scores of a row.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"

namespace octavo {
namespace {

// The rows of one KV head at the positions [begin, end) of a sequence.
std::vector<float> gather(const AttentionArgs& args, const TensorView& cache,
                          const AttentionTask& task, int64_t begin, int64_t end) {
  const int64_t head_dim = args.params->head_dim;
  const int64_t tokens_per_block = cache.shape[2];
  const int32_t* table = args.block_table.row<int32_t>(task.sequence);
  std::vector<float> rows(static_cast<size_t>((end - begin) * head_dim));
  for (int64_t position = begin; position < end; ++position) {
    const int64_t element =
        table[position / tokens_per_block] * cache.row_stride +
        (task.kv_head * tokens_per_block + position % tokens_per_block) * head_dim;
    convert_to_float(cache.dtype, cache.data + element * size_of(cache.dtype),
                     rows.data() + (position - begin) * head_dim, head_dim);
  }
  return rows;
}

// y = Σ p v × (v_scale / Σ p) over `count` keys, p = e^(s − largest s), s = (q · k) × score_scale.
struct Softmax {
  int64_t head_dim;
  float score_scale, v_scale;

  void run(const float* q, const float* keys, const float* values, int64_t count, float* y) const {
    std::vector<double> weights(static_cast<size_t>(count));
    for (int64_t key = 0; key < count; ++key) {
      double sum = 0.0;
      for (int64_t i = 0; i < head_dim; ++i)
        sum += static_cast<double>(q[i]) * keys[key * head_dim + i];
      weights[static_cast<size_t>(key)] = sum * score_scale;
    }
    const double largest = *std::ranges::max_element(weights);
    double total = 0.0;
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    std::vector<double> sums(static_cast<size_t>(head_dim));
    for (int64_t key = 0; key < count; ++key) {
      for (int64_t i = 0; i < head_dim; ++i)
        sums[static_cast<size_t>(i)] +=
            weights[static_cast<size_t>(key)] * values[key * head_dim + i];
    }
    for (int64_t i = 0; i < head_dim; ++i)
      y[i] = static_cast<float>(sums[static_cast<size_t>(i)] * (v_scale / total));
  }
};

void run_task(const AttentionArgs& args, const AttentionTask& task) {
  const int64_t head_dim = args.params->head_dim;
  const int64_t group = args.params->num_heads / args.params->num_kv_heads;
  const float k_scale = args.k_scale.defined() ? *args.k_scale.as<float>() : 1.0f;
  const Softmax softmax = {head_dim, args.params->softmax_scale * k_scale,
                           args.v_scale.defined() ? *args.v_scale.as<float>() : 1.0f};
  const RowWriter writer(args.y.dtype, args.q.dtype, args.output_scale);
  const int64_t begin = first_key(task.position, args.params->window);
  const int64_t end = task.position + task.tokens;
  const std::vector<float> keys = gather(args, args.k_cache, task, begin, end);
  const std::vector<float> values = gather(args, args.v_cache, task, begin, end);
  std::vector<float> q(static_cast<size_t>(head_dim)), y(q.size());
  for (int64_t row = 0; row < task.tokens * group; ++row) {
    const int64_t position = task.position + row / group;
    const int64_t column = (task.kv_head * group + row % group) * head_dim;
    const int64_t from = (task.row + row / group) * args.q.row_stride + column;
    convert_to_float(args.q.dtype, args.q.data + from * size_of(args.q.dtype), q.data(), head_dim);
    const int64_t first = first_key(position, args.params->window);
    const int64_t skipped = (first - begin) * head_dim;
    softmax.run(q.data(), keys.data() + skipped, values.data() + skipped, position + 1 - first,
                y.data());
    const int64_t to = (task.row + row / group) * args.y.row_stride + column;
    writer.write(y.data(), args.y.data + to * size_of(args.y.dtype), head_dim);
  }
}

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = AttentionArgs::bind(operands);
  const std::vector<AttentionTask> tasks = make_attention_tasks(args);
  for (const int64_t row : rows_without_sequence(args)) clear_rows(args.y, row, row + 1);
  context.pool->parallel_for(static_cast<int64_t>(tasks.size()), 1,
                             [&](int64_t first, int64_t last) {
                               for (int64_t i = first; i < last; ++i) run_task(args, tasks[i]);
                             });
}

Verdict supports(const Problem& problem) { return kCpuAttention.supports(problem); }

}  // namespace

const Kernel kCpuAttentionReference = {.name = "cpu_attention_reference",
                                       .op = Op::kAttention,
                                       .traits = {.fallback = true},
                                       .supports = supports,
                                       .workspace = nullptr,
                                       .run = run};

}  // namespace octavo
