// Checks of whole calls: counts, and that the outputs are those that the shape rule gives.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ops/op.h"

namespace octavo {
namespace {

using Specs = std::span<const OperandSpec>;

bool is_cache_output(const OperandName& name) {
  return name.name == "k_cache" || name.name == "v_cache";
}

void check_cache_output(const OpInfo& info, size_t index, const OperandSpec& cache,
                        const OperandSpec& rows) {
  const bool fits = cache.shape.size() == 4 && cache.shape[1].is_constant() &&
                    cache.shape[2].is_constant() && cache.shape[2].value > 0 &&
                    cache.shape[3].is_constant() && cache.shape[1].value > 0 &&
                    cache.shape[3].value > 0 && rows.shape[1].value % cache.shape[3].value == 0 &&
                    rows.shape[1].value / cache.shape[3].value == cache.shape[1].value;
  if (fits) return;
  throw Error(
      ErrorCategory::kBadFile,
      fmt::format(
          "[{}] {}: expected [blocks, kv_heads, tokens_per_block, head_dim] for rows {}, got {}",
          info.name, info.outputs[index].name, to_string(rows.shape), to_string(cache.shape)));
}

// Where an op that writes a cache has its operands.
struct CacheOperands {
  size_t rows;   // input: what goes into k_cache
  size_t scale;  // input: k_scale; v_scale follows
  size_t cache;  // output: k_cache; v_cache follows
};

std::optional<CacheOperands> cache_operands(Op op) {
  if (op == Op::kKvAppend) return CacheOperands{.rows = 0, .scale = 3, .cache = 0};
  if (op == Op::kRopeKvAppend) return CacheOperands{.rows = 1, .scale = 6, .cache = 1};
  if (op == Op::kRopeAttention) return CacheOperands{.rows = 1, .scale = 10, .cache = 0};
  return std::nullopt;
}

// Scales of an E4M3 cache are given exactly where the cache is E4M3.
void check_cache_scales(const OpInfo& info, const CacheOperands& at, Specs inputs, Specs outputs) {
  for (size_t i = 0; i < 2; ++i) {
    if (inputs[at.scale + i].present != (outputs[at.cache + i].dtype == DType::kE4M3)) {
      throw Error(ErrorCategory::kBadFile,
                  fmt::format("[{}] {}: expected exactly where the cache is float8_e4m3", info.name,
                              info.inputs[at.scale + i].name));
    }
  }
}

// What attention reads is of one shape and type, with the heads of its parameters.
void check_attended_caches(const OperandSpec& k, const OperandSpec& v, const OpParams& params) {
  const auto& attention = std::get<AttentionParams>(params);
  if (k.shape == v.shape && k.dtype == v.dtype &&
      k.shape[1] == Dim::constant(attention.num_kv_heads) &&
      k.shape[3] == Dim::constant(attention.head_dim))
    return;
  throw Error(
      ErrorCategory::kBadFile,
      fmt::format("[rope_attention] v_cache: expected the type and shape of k_cache, [blocks, "
                  "{}, tokens_per_block, {}], got {} {} and {} {}",
                  attention.num_kv_heads, attention.head_dim, to_string(k.dtype),
                  to_string(k.shape), to_string(v.dtype), to_string(v.shape)));
}

void check_counts(const OpInfo& info, Specs inputs, Specs outputs) {
  if (inputs.size() != info.inputs.size() || outputs.size() != info.outputs.size()) {
    throw Error(
        ErrorCategory::kBadFile,
        fmt::format("[{}] expected {} inputs and {} outputs, got {} and {}", info.name,
                    info.inputs.size(), info.outputs.size(), inputs.size(), outputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].present && !info.inputs[i].optional) {
      throw Error(ErrorCategory::kBadFile, fmt::format("[{}] {}: expected a tensor, got none",
                                                       info.name, info.inputs[i].name));
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].present) {
      throw Error(ErrorCategory::kBadFile, fmt::format("[{}] {}: expected a tensor, got none",
                                                       info.name, info.outputs[i].name));
    }
  }
}

void check_recv_output(const OperandSpec& y, const OpParams& params) {
  const int64_t columns = std::get<RecvParams>(params).columns;
  if (y.shape.size() == 2 && columns > 0 && y.shape[1] == Dim::constant(columns)) return;
  throw Error(ErrorCategory::kBadFile,
              fmt::format("[recv] y: expected rank 2 with {} columns, got {}", columns,
                          to_string(y.shape)));
}

// What is gathered or received stays what it was.
void check_moved_type(const OpInfo& info, Specs inputs, const OperandSpec& y) {
  const bool fits = info.op == Op::kRecv ? y.dtype == DType::kF32 || y.dtype == DType::kBF16 ||
                                               y.dtype == DType::kE4M3
                                         : y.dtype == inputs[0].dtype;
  if (fits) return;
  throw Error(ErrorCategory::kBadFile,
              fmt::format("[{}] y: expected the type of x, got {}", info.name, to_string(y.dtype)));
}

// An op with an output_scale writes E4M3 exactly where the scale is given; quantize always does.
void check_output_type(const OpInfo& info, Specs inputs, const OperandSpec& y) {
  bool expect_e4m3 = info.op == Op::kQuantize || info.op == Op::kQuantizeDynamic ||
                     info.op == Op::kGroupedQuantize;
  for (size_t i = 0; i < info.inputs.size(); ++i) {
    if (info.inputs[i].name == "output_scale") expect_e4m3 = inputs[i].present;
  }
  const bool floating = y.dtype == DType::kF32 || y.dtype == DType::kBF16;
  if (expect_e4m3 ? y.dtype == DType::kE4M3 : floating) return;
  throw Error(ErrorCategory::kBadFile,
              fmt::format("[{}] {}: expected {}, got {}", info.name, info.outputs.back().name,
                          expect_e4m3 ? "float8_e4m3" : "float32 or bfloat16", to_string(y.dtype)));
}

}  // namespace

void check_call(Op op, Specs inputs, Specs outputs, const OpParams& params) {
  const OpInfo& info = op_info(op);
  check_counts(info, inputs, outputs);
  const std::vector<SymbolicShape> expected = info.infer(inputs, params);
  const std::optional<CacheOperands> cache = cache_operands(op);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (cache && is_cache_output(info.outputs[i])) {
      check_cache_output(info, i, outputs[i], inputs[cache->rows]);
    } else if (op == Op::kRecv) {
      check_recv_output(outputs[i], params);
    } else if (outputs[i].shape != expected[i]) {
      throw Error(ErrorCategory::kBadFile,
                  fmt::format("[{}] {}: expected {}, got {}", info.name, info.outputs[i].name,
                              to_string(expected[i]), to_string(outputs[i].shape)));
    } else if (i < info.index_outputs && outputs[i].dtype != DType::kI32) {
      throw Error(ErrorCategory::kBadFile,
                  fmt::format("[{}] {}: expected int32, got {}", info.name, info.outputs[i].name,
                              to_string(outputs[i].dtype)));
    }
  }
  if (cache) check_cache_scales(info, *cache, inputs, outputs);
  if (op == Op::kRopeAttention) check_attended_caches(outputs[0], outputs[1], params);
  if (op == Op::kAllGather || op == Op::kRecv || op == Op::kGatherRows) {
    check_moved_type(info, inputs, outputs[0]);
  } else if (op != Op::kKvAppend && op != Op::kRopeKvAppend && op != Op::kSend) {
    check_output_type(info, inputs, outputs.back());
  }
}

}  // namespace octavo
