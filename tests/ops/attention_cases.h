// Cases of attention over a paged cache, with a double oracle and derived bounds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cache_cases.h"

namespace octavo::testing_ops {

struct SequenceSpec {
  int64_t query_length;
  int64_t kv_length;
};

struct AttentionSpec {
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 64;
  int64_t tokens_per_block = 16;
  int64_t window = 0;
  DType dtype = DType::kF32;
  DType cache = DType::kF32;
  DType output = DType::kF32;
  std::vector<SequenceSpec> sequences;
  int64_t free_rows = 1;  // rows of q between sequences that belong to none

  std::string name() const {
    return fmt::format("{}/{} heads of {}, blocks of {}, window {}, {} over {} to {}, {} sequences",
                       heads, kv_heads, head_dim, tokens_per_block, window, to_string(dtype),
                       to_string(cache), to_string(output), sequences.size());
  }
  int64_t rows() const {
    int64_t total = 0;
    for (const auto& sequence : sequences) total += sequence.query_length + free_rows;
    return total;
  }
  int64_t blocks_of(const SequenceSpec& sequence) const {
    return (sequence.kv_length + tokens_per_block - 1) / tokens_per_block;
  }
  AttentionParams params() const {
    return {.num_heads = heads,
            .num_kv_heads = kv_heads,
            .head_dim = head_dim,
            .softmax_scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
            .window = window};
  }
};

// Inputs in the order of AttentionArgs.
enum AttentionInput { kQ, kKeys, kValues, kStart, kLength, kKvLength, kTable, kKScale, kVScale };

// Index tensors, and a table of blocks in random order; entries that must not be read are -1.
inline void add_indices(const AttentionSpec& spec, int64_t blocks, std::mt19937& random,
                        OpCase& one) {
  const int64_t count = std::ssize(spec.sequences);
  int64_t width = 1;
  for (const auto& sequence : spec.sequences) width = std::max(width, spec.blocks_of(sequence));
  HostTensor start(DType::kI32, {count}), length = start, kv_length = start;
  HostTensor table(DType::kI32, {count, width}, 2);
  std::vector<int64_t> order(static_cast<size_t>(blocks));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  int64_t row = 0;
  size_t next = 0;
  for (int64_t s = 0; s < count; ++s) {
    const SequenceSpec& sequence = spec.sequences[static_cast<size_t>(s)];
    start.set(s, static_cast<double>(row));
    length.set(s, static_cast<double>(sequence.query_length));
    kv_length.set(s, static_cast<double>(sequence.kv_length));
    for (int64_t i = 0; i < width; ++i)
      table.set(s * width + i,
                i < spec.blocks_of(sequence) ? static_cast<double>(order[next++]) : -1.0);
    row += sequence.query_length + spec.free_rows;
  }
  for (const HostTensor& tensor : {start, length, kv_length, table}) one.inputs.push_back(tensor);
}

// Element of the cache that holds dimension 0 of the key at `position`.
inline int64_t cache_element(const OpCase& one, int64_t sequence, int64_t kv_head,
                             int64_t position) {
  const Shape& shape = one.inputs[kKeys].shape();
  const HostTensor& table = one.inputs[kTable];
  const auto block =
      static_cast<int64_t>(table.get(sequence * table.shape()[1] + position / shape[2]));
  return ((block * shape[1] + kv_head) * shape[2] + position % shape[2]) * shape[3];
}

// Fills the positions that sequences hold; everything else in the cache stays NaN.
inline void fill_cache(const AttentionSpec& spec, std::mt19937& random, OpCase& one) {
  std::normal_distribution<double> normal;
  const double spread = spec.cache == DType::kE4M3 ? 40.0 : 1.0;
  for (int64_t s = 0; s < std::ssize(spec.sequences); ++s) {
    for (int64_t position = 0; position < spec.sequences[s].kv_length; ++position) {
      for (int64_t head = 0; head < spec.kv_heads; ++head) {
        const int64_t element = cache_element(one, s, head, position);
        for (int64_t i = 0; i < spec.head_dim; ++i) {
          one.inputs[kKeys].set(element + i, spread * normal(random));
          one.inputs[kValues].set(element + i, spread * normal(random));
        }
      }
    }
  }
}

inline OpCase attention_inputs(const AttentionSpec& spec, uint32_t seed) {
  std::mt19937 random(seed);
  OpCase one{.name = spec.name(), .op = Op::kAttention, .params = spec.params()};
  int64_t blocks = 3;  // some that no sequence uses
  for (const auto& sequence : spec.sequences) blocks += spec.blocks_of(sequence);
  const Shape cache_shape{blocks, spec.kv_heads, spec.tokens_per_block, spec.head_dim};
  const int64_t columns = spec.heads * spec.head_dim;
  one.inputs = {normal_tensor(spec.dtype, {spec.rows(), columns}, 2 * columns, random, 1.5),
                {spec.cache, cache_shape, 8},
                {spec.cache, cache_shape}};
  add_indices(spec, blocks, random, one);
  fill_cache(spec, random, one);
  const bool scaled = spec.cache == DType::kE4M3;
  one.inputs.push_back(scaled ? scale_tensor(kKeyScale) : HostTensor());
  one.inputs.push_back(scaled ? scale_tensor(kValueScale) : HostTensor());
  one.inputs.push_back(output_scale_of(spec.output));
  one.outputs = {{spec.output, {spec.rows(), columns}, 5}};
  return one;
}

// softmax(q · kᵀ) · v of one query row and head over the keys [first, last]. A dot product of D
// terms is within D roundings of its absolute terms; a score that is off by e changes every weight
// by at most exp(2e) - 1; exponentials, sums and scales add their own roundings, one a key at most.
inline void expect_head(const OpCase& one, const AttentionSpec& spec, int64_t sequence, int64_t row,
                        int64_t head, int64_t position, std::vector<Interval>& out) {
  const int64_t first = spec.window > 0 ? std::max<int64_t>(0, position - spec.window + 1) : 0;
  const int64_t kv_head = head / (spec.heads / spec.kv_heads);
  const bool scaled = spec.cache == DType::kE4M3;
  const double score_scale = spec.params().softmax_scale * (scaled ? kKeyScale : 1.0f);
  const int64_t query = (row * spec.heads + head) * spec.head_dim;
  std::vector<double> scores;
  double score_error = 0;
  for (int64_t key = first; key <= position; ++key) {
    const int64_t element = cache_element(one, sequence, kv_head, key);
    double sum = 0, absolute = 0;
    for (int64_t i = 0; i < spec.head_dim; ++i) {
      const double product = one.inputs[kQ].get(query + i) * one.inputs[kKeys].get(element + i);
      sum += product;
      absolute += std::abs(product);
    }
    scores.push_back(sum * score_scale);
    score_error = std::max(
        score_error, absolute * score_scale * (static_cast<double>(spec.head_dim) + 4) * kUnit);
  }
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double denominator = 0;
  for (double& score : scores) denominator += score = std::exp(score - maximum);
  const double error =
      std::expm1(2 * score_error) + (static_cast<double>(std::ssize(scores)) + 16) * kUnit;
  for (int64_t i = 0; i < spec.head_dim; ++i) {
    double sum = 0, absolute = 0;
    for (int64_t key = first; key <= position; ++key) {
      const double term = scores[static_cast<size_t>(key - first)] *
                          one.inputs[kValues].get(cache_element(one, sequence, kv_head, key) + i);
      sum += term;
      absolute += std::abs(term);
    }
    const double factor = (scaled ? kValueScale : 1.0f) / denominator;
    out[static_cast<size_t>(query + i)] = Interval::around(sum * factor, absolute * factor * error);
  }
}

inline OpCase attention_case(const AttentionSpec& spec, uint32_t seed) {
  OpCase one = attention_inputs(spec, seed);
  Expected expected = expected_of(spec.dtype, spec.output);
  expected.values.resize(static_cast<size_t>(one.outputs[0].elements()));
  for (int64_t s = 0; s < std::ssize(spec.sequences); ++s) {
    const SequenceSpec& sequence = spec.sequences[static_cast<size_t>(s)];
    const auto start = static_cast<int64_t>(one.inputs[kStart].get(s));
    for (int64_t i = 0; i < sequence.query_length; ++i) {
      const int64_t position = sequence.kv_length - sequence.query_length + i;
      for (int64_t head = 0; head < spec.heads; ++head)
        expect_head(one, spec, s, start + i, head, position, expected.values);
    }
  }
  one.expected = {expected};
  return one;
}

inline std::vector<AttentionSpec> attention_specs() {
  const std::vector<SequenceSpec> mixed = {{1, 1},  {0, 0}, {5, 5}, {1, 33},
                                           {7, 40}, {0, 9}, {1, 97}};
  std::vector<AttentionSpec> specs;
  for (const int64_t tokens_per_block : {1, 7, 16, 32, 64})
    specs.push_back({.tokens_per_block = tokens_per_block, .sequences = mixed});
  for (const int64_t group : {1, 3, 8, 16})
    specs.push_back({.heads = 2 * group, .sequences = mixed});
  for (const int64_t head_dim : {8, 40, 128})
    specs.push_back({.head_dim = head_dim, .sequences = mixed});
  for (const int64_t window : {1, 5, 32, 50})
    specs.push_back({.window = window, .sequences = mixed});
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const DType cache : {DType::kF32, DType::kBF16, DType::kE4M3}) {
      for (const DType output : {DType::kF32, DType::kBF16, DType::kE4M3})
        specs.push_back({.dtype = dtype, .cache = cache, .output = output, .sequences = mixed});
    }
  }
  specs.push_back({.sequences = {{130, 130}, {70, 200}}, .free_rows = 0});
  specs.push_back({.sequences = {}});
  specs.push_back({.sequences = {{0, 0}}, .free_rows = 0});
  return specs;
}

inline std::vector<OpCase> attention_cases() {
  std::vector<OpCase> cases;
  for (const AttentionSpec& spec : attention_specs()) cases.push_back(attention_case(spec, 9));
  return cases;
}

}  // namespace octavo::testing_ops
