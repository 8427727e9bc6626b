// RoPE, append and decode attention in one kernel: the bytes of the kernels one after another.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_attention.h"

#include <algorithm>
#include <numeric>

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

struct Case {
  DType cache;
  int64_t heads, kv_heads, head_dim, tokens_per_block, window;
  // With the new token; 0: a sequence without a row, for which one is free at the end.
  std::vector<int> lengths;
  int64_t pitch = 8;
};

struct Inputs {
  Tensor q, k, v, positions, frequency, slots, query_start, query_length, kv_length, block_table;
  Tensor k_scale, v_scale, k_cache, v_cache;
  AttentionParams params;
};

// Pages in random order; what no earlier step wrote, the new token's place too, is NaN.
void fill_pages(const Case& c, Values& values, Inputs& in) {
  const auto pages_of = [&](int length) {
    return (length + c.tokens_per_block - 1) / c.tokens_per_block;
  };
  int64_t width = 1, blocks = 1;
  for (const int length : c.lengths) {
    width = std::max(width, pages_of(length));
    blocks += pages_of(length);
  }
  std::vector<int32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), values.engine());
  const int64_t count = std::ssize(c.lengths);
  in.block_table = Tensor(DType::kI32, {count, width});
  const Shape shape = {blocks, c.kv_heads, c.tokens_per_block, c.head_dim};
  const float deviation = c.cache == DType::kE4M3 ? 30.0f : 1.0f;
  const Tensor keys = values.normal(c.cache, shape, deviation);
  const Tensor contents = values.normal(c.cache, shape, deviation);
  in.k_cache = Tensor(c.cache, shape);
  in.v_cache = Tensor(c.cache, shape);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    set_element(in.k_cache.view(), i, NAN);
    set_element(in.v_cache.view(), i, NAN);
  }
  size_t next = 0;
  for (int64_t s = 0; s < count; ++s) {
    for (int64_t page = 0; page < pages_of(c.lengths[s]); ++page)
      in.block_table.as<int32_t>()[s * width + page] = order[next++];
    for (int64_t token = 0; token < c.lengths[s]; ++token) {
      const int64_t block = in.block_table.as<int32_t>()[s * width + token / c.tokens_per_block];
      if (token == c.lengths[s] - 1) {
        in.slots.as<int64_t>()[in.query_start.as<int32_t>()[s]] =
            block * c.tokens_per_block + token % c.tokens_per_block;
        break;
      }
      for (int64_t at = 0; at < c.kv_heads * c.head_dim; ++at) {
        const int64_t index = ((block * c.kv_heads + at / c.head_dim) * c.tokens_per_block +
                               token % c.tokens_per_block) *
                                  c.head_dim +
                              at % c.head_dim;
        set_element(in.k_cache.view(), index, element(keys.view(), index));
        set_element(in.v_cache.view(), index, element(contents.view(), index));
      }
    }
  }
}

Inputs make_inputs(const Case& c) {
  Values values(13);
  Inputs in;
  std::vector<int32_t> starts, queries, positions;
  for (const int length : c.lengths) {
    starts.push_back(static_cast<int32_t>(positions.size()));
    queries.push_back(length > 0 ? 1 : 0);
    // Some beyond where sine and cosine are computed in the short way.
    if (length > 0) positions.push_back(length % 3 == 0 ? 131071 : length - 1);
  }
  positions.resize(c.lengths.size(), 0);
  const int64_t tokens = std::ssize(positions);
  in.q = values.normal(DType::kBF16, {tokens, c.heads * c.head_dim}, 1.5f);
  in.k = values.normal(DType::kBF16, {tokens, c.kv_heads * c.head_dim}, 2.0f);
  in.v = values.normal(DType::kBF16, {tokens, c.kv_heads * c.head_dim}, 0.7f);
  in.positions = vector_of(DType::kI32, positions);
  in.frequency = Tensor(DType::kF32, {c.head_dim / 2});
  for (int64_t i = 0; i < c.head_dim / 2; ++i)
    in.frequency.as<float>()[i] =
        static_cast<float>(std::pow(500000.0, -2.0 * static_cast<double>(i) / c.head_dim));
  in.slots = vector_of(DType::kI64, std::vector<int64_t>(tokens, -1));
  in.query_start = vector_of(DType::kI32, starts);
  in.query_length = vector_of(DType::kI32, queries);
  in.kv_length = vector_of(DType::kI32, c.lengths);
  fill_pages(c, values, in);
  if (c.cache == DType::kE4M3) {
    in.k_scale = scalar(0.031f);
    in.v_scale = scalar(0.017f);
  }
  in.params = {.num_heads = c.heads,
               .num_kv_heads = c.kv_heads,
               .head_dim = c.head_dim,
               .softmax_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
               .window = c.window};
  return in;
}

struct Outputs {
  Tensor k_cache, v_cache, y;
};
Tensor copy_of(const Tensor& tensor) {
  Tensor copy(tensor.dtype(), tensor.shape());
  std::memcpy(copy.data(), tensor.data(), tensor.bytes());
  return copy;
}

void add_scales(const Inputs& in, DeviceCall& call) {
  for (const Tensor* scale : {&in.k_scale, &in.v_scale}) {
    if (scale->defined()) {
      call.in(*scale);
    } else {
      call.none();
    }
  }
}

Outputs outputs_of(const Inputs& in, const Tensor& output_scale) {
  return {copy_of(in.k_cache), copy_of(in.v_cache),
          Tensor(output_scale.defined() ? DType::kE4M3 : DType::kBF16, in.q.shape())};
}

Outputs run(const Case& c, const Inputs& in, std::string_view kernel, const Tensor& output_scale,
            const char* tactic = "") {
  Outputs out = outputs_of(in, output_scale);
  DeviceCall call;
  call.pitch(c.pitch).params(in.params).tactic(tactic);
  call.in(in.q).in(in.k).in(in.v).in(in.positions).in(in.frequency).in(in.slots);
  call.in(in.query_start).in(in.query_length).in(in.kv_length).in(in.block_table);
  add_scales(in, call);
  output_scale.defined() ? call.in(output_scale) : call.none();
  call.in_out(out.k_cache).in_out(out.v_cache).out(out.y).run(kernel);
  return out;
}

// The calls that a Program has where they are not fused.
Outputs run_apart(const Case& c, const Inputs& in, const Tensor& output_scale) {
  Outputs out = outputs_of(in, output_scale);
  Tensor rotated(DType::kBF16, in.q.shape());
  DeviceCall rope;
  rope.pitch(c.pitch).params(RopeParams{c.head_dim});
  rope.in(in.q).in(in.k).in(in.v).in(in.positions).in(in.frequency).in(in.slots);
  add_scales(in, rope);
  rope.out(rotated).in_out(out.k_cache).in_out(out.v_cache).run("cuda_rope_kv_append");
  DeviceCall attention;
  attention.pitch(c.pitch).params(in.params);
  attention.in(rotated).in(out.k_cache).in(out.v_cache).in(in.query_start).in(in.query_length);
  attention.in(in.kv_length).in(in.block_table);
  add_scales(in, attention);
  output_scale.defined() ? attention.in(output_scale) : attention.none();
  attention.out(out.y).run("cuda_attention_decode");
  return out;
}

void expect_same(const Outputs& got, const Outputs& expected, std::string_view what) {
  SCOPED_TRACE(what);
  expect_same_bytes(got.k_cache, expected.k_cache, "k cache");
  expect_same_bytes(got.v_cache, expected.v_cache, "v cache");
  expect_same_bytes(got.y, expected.y, "y");
}

class RopeAttention : public ::testing::TestWithParam<Case> {};

TEST_P(RopeAttention, HasTheBytesOfItsParts) {
  OCTAVO_REQUIRE_DEVICE();
  const Case& c = GetParam();
  const Inputs in = make_inputs(c);
  for (const Tensor& output_scale : {Tensor(), scalar(0.003f)}) {
    const Outputs expected = run_apart(c, in, output_scale);
    for (int64_t i = 0; i < expected.y.shape().elements(); ++i)
      ASSERT_FALSE(std::isnan(element(expected.y.view(), i))) << i;
    expect_same(run(c, in, "cuda_rope_attention_in_turn", output_scale), expected, "in turn");
    for (const char* tactic : {"", "early", "alone", "early short keys", "keys"})
      expect_same(run(c, in, "cuda_rope_attention_decode", output_scale, tactic), expected, tactic);
  }
}

// The last key in every part of a stage, at both ends of pages, alone, and after none.
std::vector<int> edges() { return {1, 0, 15, 16, 17, 32, 33, 48, 64, 65, 0, 128, 129, 161, 700}; }

INSTANTIATE_TEST_SUITE_P(Grid, RopeAttention,
                         ::testing::Values(Case{DType::kE4M3, 32, 8, 128, 64, 0, {300}},
                                           Case{DType::kE4M3, 8, 2, 128, 64, 0, edges()},
                                           Case{DType::kBF16, 4, 2, 128, 16, 0, edges()},
                                           Case{DType::kE4M3, 6, 2, 64, 32, 0, edges()},
                                           Case{DType::kBF16, 3, 3, 64, 48, 0, edges()},
                                           Case{DType::kE4M3, 16, 1, 128, 32, 0, edges()},
                                           Case{DType::kBF16, 12, 1, 128, 64, 0, edges()},
                                           Case{DType::kE4M3, 16, 1, 64, 16, 0, edges()},
                                           Case{DType::kBF16, 16, 1, 64, 128, 0, edges()},
                                           Case{DType::kE4M3, 8, 1, 128, 64, 65, edges()},
                                           Case{DType::kBF16, 4, 2, 64, 32, 1, edges()}));

// More pairs than clusters: they are served longest first, several by each cluster. A ring for one
// pair a cluster is not for them.
TEST(RopeAttentionBatch, ManySequences) {
  OCTAVO_REQUIRE_DEVICE();
  Case c = {DType::kE4M3, 4, 2, 128, 32, 0, {}};
  Values values(5);
  for (int i = 0; i < 150; ++i) c.lengths.push_back(i % 7 == 3 ? 0 : 1 + values.below(150));
  const Inputs in = make_inputs(c);
  const Outputs expected = run_apart(c, in, Tensor());
  for (const char* tactic : {"", "short keys"})
    expect_same(run(c, in, "cuda_rope_attention_decode", Tensor(), tactic), expected, tactic);
}

// Rows that start anywhere are left to the kernels one after another.
TEST(RopeAttentionRows, Unaligned) {
  OCTAVO_REQUIRE_DEVICE();
  const Case c = {DType::kE4M3, 8, 2, 128, 32, 0, {70, 0, 3}, /*pitch=*/3};
  const Inputs in = make_inputs(c);
  expect_same(run(c, in, "cuda_rope_attention_decode", Tensor()), run_apart(c, in, Tensor()), "");
}

// A row whose slot is negative reads what the cache holds, as apart.
TEST(RopeAttentionRows, NegativeSlotsAppendNothing) {
  OCTAVO_REQUIRE_DEVICE();
  const Case c = {DType::kBF16, 8, 2, 128, 32, 0, {70, 64}};
  Inputs in = make_inputs(c);
  const int64_t blocks = in.k_cache.shape().elements();
  for (int64_t i = 0; i < blocks; ++i) {
    if (std::isnan(element(in.k_cache.view(), i))) set_element(in.k_cache.view(), i, 0.5f);
    if (std::isnan(element(in.v_cache.view(), i))) set_element(in.v_cache.view(), i, 0.25f);
  }
  in.slots.as<int64_t>()[0] = -1;
  expect_same(run(c, in, "cuda_rope_attention_decode", Tensor()), run_apart(c, in, Tensor()), "");
}

}  // namespace
}  // namespace octavo::testing
