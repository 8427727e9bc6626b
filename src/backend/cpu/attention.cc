// Attention over the paged cache on the CPU: online softmax over blocks of keys.
// SPDX-License-Identifier: Apache-2.0
#include "ops/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "backend/cpu/attention_tasks.h"
#include "backend/cpu/op_kernels.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/support.h"
#include "backend/cpu/vector_ops.h"
#include "core/checked.h"

namespace octavo {
namespace {

// Working memory of one task: float32 rows of queries, one block of keys and values, running sums.
// A row is one query token and one of the heads that share the KV head.
struct TaskMemory {
  TaskMemory(int64_t rows, int64_t head_dim)
      : stride(round_up(head_dim, 16)),
        queries(DType::kF32, {rows, stride}),
        keys(DType::kF32, {kAttentionBlock, stride}),
        values(DType::kF32, {kAttentionBlock, stride}),
        scores(DType::kF32, {rows, kAttentionBlock}),
        output(DType::kF32, {rows, stride}),
        maximum(rows, -std::numeric_limits<float>::infinity()),
        denominator(rows),
        first(rows),
        last(rows) {}

  int64_t stride;
  Tensor queries, keys, values, scores, output;
  std::vector<float> maximum, denominator;
  std::vector<int32_t> first, last;
};

class TaskRunner {
 public:
  TaskRunner(const AttentionArgs& args, const AttentionTask& task)
      : args_(args),
        task_(task),
        head_dim_(args.params->head_dim),
        group_(args.params->num_heads / args.params->num_kv_heads),
        rows_(task.tokens * group_),
        memory_(rows_, head_dim_) {}

  void run() {
    load_queries();
    const int64_t begin = first_key(task_.position, args_.params->window);
    const int64_t end = task_.position + task_.tokens;
    for (int64_t start = begin - begin % kAttentionBlock; start < end; start += kAttentionBlock) {
      const int64_t next = start + kAttentionBlock;
      load_block(args_.k_cache, std::max(begin, start), std::min(end, next), start,
                 memory_.keys.as<float>());
      load_block(args_.v_cache, std::max(begin, start), std::min(end, next), start,
                 memory_.values.as<float>());
      prefetch(args_.k_cache, next, std::min(end, next + kAttentionBlock));
      prefetch(args_.v_cache, next, std::min(end, next + kAttentionBlock));
      limit_rows(start);
      take_step();
    }
    write_output();
  }

 private:
  void load_queries() {
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t head = task_.kv_head * group_ + row % group_;
      const int64_t element = (task_.row + row / group_) * args_.q.row_stride + head * head_dim_;
      convert_to_float(args_.q.dtype, args_.q.data + element * size_of(args_.q.dtype),
                       memory_.queries.as<float>() + row * memory_.stride, head_dim_);
    }
  }

  // Calls use(first byte, position, count) for the runs of consecutive cached rows that hold the
  // positions [begin, end).
  template <typename Use>
  void for_each_run(const TensorView& cache, int64_t begin, int64_t end, const Use& use) const {
    const int64_t tokens_per_block = cache.shape[2];
    const int32_t* table = args_.block_table.row<int32_t>(task_.sequence);
    for (int64_t position = begin; position < end;) {
      const int64_t offset = position % tokens_per_block;
      const int64_t count = std::min(end - position, tokens_per_block - offset);
      const int64_t element = table[position / tokens_per_block] * cache.row_stride +
                              (task_.kv_head * tokens_per_block + offset) * head_dim_;
      use(cache.data + element * size_of(cache.dtype), position, count);
      position += count;
    }
  }

  // The cached rows at positions [begin, end) of the block that starts at `start`. Other rows keep
  // what they hold: no query sees them.
  void load_block(const TensorView& cache, int64_t begin, int64_t end, int64_t start,
                  float* out) const {
    for_each_run(cache, begin, end, [&](const std::byte* source, int64_t at, int64_t count) {
      float* rows = out + (at - start) * memory_.stride;
      if (memory_.stride == head_dim_) {
        return convert_to_float(cache.dtype, source, rows, count * head_dim_);
      }
      for (int64_t i = 0; i < count; ++i) {
        convert_to_float(cache.dtype, source + i * head_dim_ * size_of(cache.dtype),
                         rows + i * memory_.stride, head_dim_);
      }
    });
  }

  // Starts to fetch the rows of the next block: runs are short, and in random order, so that the
  // hardware does not foresee them.
  void prefetch(const TensorView& cache, int64_t begin, int64_t end) const {
    constexpr int64_t kCacheLine = 64;
    for_each_run(cache, begin, end, [&](const std::byte* source, int64_t, int64_t count) {
      const int64_t bytes = count * head_dim_ * size_of(cache.dtype);
      for (int64_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(source + at);
    });
  }

  // Which keys of the block at `start` every row sees.
  void limit_rows(int64_t start) {
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t position = task_.position + row / group_;
      const int64_t first = first_key(position, args_.params->window) - start;
      const int64_t last = position + 1 - start;
      memory_.first[row] = static_cast<int32_t>(std::clamp<int64_t>(first, 0, kAttentionBlock));
      memory_.last[row] = static_cast<int32_t>(std::clamp<int64_t>(last, 0, kAttentionBlock));
    }
  }

  void take_step() {
    const float k_scale = args_.k_scale.defined() ? *args_.k_scale.as<float>() : 1.0f;
    vector_ops().attention_step({.queries = memory_.queries.as<float>(),
                                 .keys = memory_.keys.as<float>(),
                                 .values = memory_.values.as<float>(),
                                 .rows = rows_,
                                 .stride = memory_.stride,
                                 .first = memory_.first.data(),
                                 .last = memory_.last.data(),
                                 .score_scale = args_.params->softmax_scale * k_scale,
                                 .scores = memory_.scores.as<float>(),
                                 .maximum = memory_.maximum.data(),
                                 .denominator = memory_.denominator.data(),
                                 .output = memory_.output.as<float>()});
  }

  void write_output() {
    const RowWriter writer(args_.y.dtype, args_.q.dtype, args_.output_scale);
    const float v_scale = args_.v_scale.defined() ? *args_.v_scale.as<float>() : 1.0f;
    for (int64_t row = 0; row < rows_; ++row) {
      float* output = memory_.output.as<float>() + row * memory_.stride;
      const float factor = v_scale / memory_.denominator[row];
      for (int64_t i = 0; i < head_dim_; ++i) output[i] *= factor;
      const int64_t head = task_.kv_head * group_ + row % group_;
      const int64_t element = (task_.row + row / group_) * args_.y.row_stride + head * head_dim_;
      writer.write(output, args_.y.data + element * size_of(args_.y.dtype), head_dim_);
    }
  }

  const AttentionArgs& args_;
  const AttentionTask& task_;
  int64_t head_dim_;
  int64_t group_;
  int64_t rows_;
  TaskMemory memory_;
};

void run(const Operands& operands, const LaunchContext& context) {
  const auto args = AttentionArgs::bind(operands);
  const std::vector<AttentionTask> tasks = make_attention_tasks(args);
  for (const int64_t row : rows_without_sequence(args)) {
    const int64_t size = size_of(args.y.dtype);
    std::memset(args.y.data + row * args.y.row_stride * size, 0,
                static_cast<size_t>(args.y.columns() * size));
  }
  const auto run_tasks = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) TaskRunner(args, tasks[i]).run();
  };
  context.pool->parallel_for(static_cast<int64_t>(tasks.size()), 1, run_tasks);
}

Verdict supports(const Problem& problem) {
  Problem activations = problem;
  for (const size_t cache : {1, 2}) {
    const DType dtype = problem.inputs[cache].dtype;
    if (!is_activation(dtype) && dtype != DType::kE4M3) {
      return Verdict::no(fmt::format("expected a float32, bfloat16 or float8_e4m3 cache, got {}",
                                     to_string(dtype)));
    }
    activations.inputs[cache].present = false;
  }
  return supports_activations(activations);
}

}  // namespace

const Kernel kCpuAttention = {.name = "cpu_attention",
                              .op = Op::kAttention,
                              .traits = {},
                              .supports = supports,
                              .workspace = nullptr,
                              .run = run};

}  // namespace octavo
