// Cases of the ops on the paged cache: kv_append, rope_kv_append, attention.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <numeric>

#include "elementwise_cases.h"

namespace octavo::testing_ops {

inline constexpr float kKeyScale = 0.02f;
inline constexpr float kValueScale = 0.015f;

inline Expected expected_cache(const HostTensor& cache, DType row_type, float scale) {
  return {.intermediate = row_type,
          .inverse_scale = cache.dtype() == DType::kE4M3 ? inverse_scale(scale) : 1.0f,
          .values = std::vector<Interval>(static_cast<size_t>(cache.elements())),
          .keeps_bytes = std::vector<bool>(static_cast<size_t>(cache.elements()), true)};
}

// Marks where the row at `token` of [tokens, kv_heads × head_dim] values goes.
inline void expect_slot(const HostTensor& cache, int64_t slot, const Interval* row,
                        Expected& expected) {
  const Shape& shape = cache.shape();
  const int64_t block = slot / shape[2];
  for (int64_t head = 0; head < shape[1]; ++head) {
    for (int64_t i = 0; i < shape[3]; ++i) {
      const int64_t element =
          ((block * shape[1] + head) * shape[2] + slot % shape[2]) * shape[3] + i;
      expected.values[element] = row[head * shape[3] + i];
      expected.keeps_bytes[element] = false;
    }
  }
}

struct AppendGrid {
  int64_t tokens;
  int64_t tokens_per_block;
  int64_t head_dim;
  DType dtype;
  DType cache;
};

inline std::vector<AppendGrid> append_grid() {
  std::vector<AppendGrid> grid;
  for (const int64_t tokens : {0, 1, 31, 33}) {
    for (const int64_t tokens_per_block : {1, 16}) {
      for (const int64_t head_dim : {64, 20}) {
        for (const DType dtype : {DType::kF32, DType::kBF16}) {
          for (const DType cache : {DType::kF32, DType::kBF16, DType::kE4M3})
            grid.push_back({tokens, tokens_per_block, head_dim, dtype, cache});
        }
      }
    }
  }
  return grid;
}

// Distinct slots in random order; every fifth token is not written.
inline HostTensor random_slots(int64_t tokens, int64_t slots, std::mt19937& random) {
  std::vector<int64_t> order(static_cast<size_t>(slots));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  HostTensor out(DType::kI64, {tokens});
  for (int64_t t = 0; t < tokens; ++t)
    out.set(t, t % 5 == 4 ? -1.0 : static_cast<double>(order[static_cast<size_t>(t)]));
  return out;
}

inline std::vector<Interval> exact_values(const HostTensor& x) {
  std::vector<Interval> out;
  for (int64_t i = 0; i < x.elements(); ++i) out.push_back(Interval::exactly(x.get(i)));
  return out;
}

// kv_append, or with `rotate` rope_kv_append, which rounds rotated keys to their type first.
inline std::vector<OpCase> append_cases(bool rotate) {
  std::vector<OpCase> cases;
  std::mt19937 random(8);
  constexpr int64_t kKvHeads = 2;
  constexpr int64_t kHeads = 6;
  for (const AppendGrid& grid : append_grid()) {
    const int64_t columns = kKvHeads * grid.head_dim;
    const int64_t blocks = 48 / grid.tokens_per_block;
    const bool scaled = grid.cache == DType::kE4M3;
    HostTensor q =
        normal_tensor(grid.dtype, {grid.tokens, kHeads * grid.head_dim}, columns, random);
    HostTensor k = normal_tensor(grid.dtype, {grid.tokens, columns}, columns, random);
    HostTensor v = normal_tensor(grid.dtype, {grid.tokens, columns}, columns, random);
    HostTensor positions(DType::kI32, {grid.tokens});
    for (int64_t t = 0; t < grid.tokens; ++t) positions.set(t, static_cast<double>(3 * t));
    const HostTensor frequency = inverse_frequencies(grid.head_dim);
    const HostTensor slots = random_slots(grid.tokens, 48, random);
    const HostTensor cache(grid.cache, {blocks, kKvHeads, grid.tokens_per_block, grid.head_dim}, 8);
    const HostTensor k_scale = scaled ? scale_tensor(kKeyScale) : HostTensor();
    const HostTensor v_scale = scaled ? scale_tensor(kValueScale) : HostTensor();

    Expected keys = expected_cache(cache, grid.dtype, kKeyScale);
    Expected values = expected_cache(cache, grid.dtype, kValueScale);
    std::vector<Interval> key_rows = rotate ? rotated(k, positions, frequency) : exact_values(k);
    for (Interval& key : key_rows)
      key = {round_to(grid.dtype, key.low), round_to(grid.dtype, key.high)};
    const std::vector<Interval> value_rows = exact_values(v);
    for (int64_t t = 0; t < grid.tokens; ++t) {
      const auto slot = static_cast<int64_t>(slots.get(t));
      if (slot < 0) continue;
      expect_slot(cache, slot, key_rows.data() + t * columns, keys);
      expect_slot(cache, slot, value_rows.data() + t * columns, values);
    }
    OpCase one{.name = fmt::format("{} tokens, blocks of {}, head_dim {}, {} to {}", grid.tokens,
                                   grid.tokens_per_block, grid.head_dim, to_string(grid.dtype),
                                   to_string(grid.cache))};
    if (rotate) {
      one.op = Op::kRopeKvAppend;
      one.params = RopeParams{grid.head_dim};
      one.inputs = {q, k, v, positions, frequency, slots, k_scale, v_scale};
      one.outputs = {{grid.dtype, q.shape(), 4}, cache, cache};
      one.expected = {{.values = rotated(q, positions, frequency)}, keys, values};
    } else {
      one.op = Op::kKvAppend;
      one.inputs = {k, v, slots, k_scale, v_scale};
      one.outputs = {cache, cache};
      one.expected = {keys, values};
    }
    cases.push_back(one);
  }
  return cases;
}

}  // namespace octavo::testing_ops
