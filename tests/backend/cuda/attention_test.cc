// Attention on the device: every kernel against doubles, over pages in random order.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/attention/attention.h"

#include <algorithm>
#include <numeric>

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

struct Case {
  DType cache;
  int64_t heads, kv_heads, head_dim, tokens_per_block, window;
  std::vector<std::pair<int, int>> sequences;  // query_length, kv_length
  int unowned_rows = 0;                        // at the end
};

struct Inputs {
  Tensor q, k_cache, v_cache, query_start, query_length, kv_length, block_table;
  Tensor k_scale, v_scale;
  AttentionParams params;
  int64_t tokens = 0;
};

Inputs make_inputs(const Case& c, DType activation = DType::kBF16) {
  Values values(9);
  Inputs in;
  std::vector<int32_t> starts, queries, lengths;
  int64_t width = 1;
  int64_t blocks = 1;
  for (const auto& [query, length] : c.sequences) {
    starts.push_back(static_cast<int32_t>(in.tokens));
    queries.push_back(query);
    lengths.push_back(length);
    in.tokens += query;
    const int64_t needed = (length + c.tokens_per_block - 1) / c.tokens_per_block;
    width = std::max(width, needed);
    blocks += needed;
  }
  in.tokens += c.unowned_rows;
  std::vector<int32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), values.engine());
  in.block_table = Tensor(DType::kI32, {static_cast<int64_t>(c.sequences.size()), width});
  size_t next = 0;
  const Shape shape = {blocks, c.kv_heads, c.tokens_per_block, c.head_dim};
  in.k_cache = values.normal(c.cache, shape, c.cache == DType::kE4M3 ? 30.0f : 1.0f);
  in.v_cache = values.normal(c.cache, shape, c.cache == DType::kE4M3 ? 40.0f : 1.0f);
  for (size_t s = 0; s < c.sequences.size(); ++s) {
    const int64_t needed = (c.sequences[s].second + c.tokens_per_block - 1) / c.tokens_per_block;
    for (int64_t i = 0; i < needed; ++i) {
      const int32_t block = order[next++];
      in.block_table.as<int32_t>()[s * width + i] = block;
      // Slots past the end hold NaN: nothing may come of them.
      for (int64_t token = c.sequences[s].second - i * c.tokens_per_block;
           token < c.tokens_per_block; ++token) {
        for (int64_t at = 0; at < c.kv_heads * c.head_dim; ++at) {
          const int64_t index = ((block * c.kv_heads + at / c.head_dim) * c.tokens_per_block +
                                 std::max<int64_t>(token, 0)) *
                                    c.head_dim +
                                at % c.head_dim;
          set_element(in.k_cache.view(), index, NAN);
          set_element(in.v_cache.view(), index, NAN);
        }
      }
    }
  }
  in.q = values.normal(activation, {in.tokens, c.heads * c.head_dim}, 1.5f);
  in.query_start = vector_of(DType::kI32, starts);
  in.query_length = vector_of(DType::kI32, queries);
  in.kv_length = vector_of(DType::kI32, lengths);
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

// Exact attention, and Σ p |v|, which bounds are made of.
struct Expected {
  std::vector<double> y, magnitude;
  double largest_logit = 0;  // Σ |q k|, scaled
};
Expected oracle(const Case& c, const Inputs& in) {
  Expected expected;
  expected.y.assign(in.tokens * c.heads * c.head_dim, 0.0);
  expected.magnitude.assign(expected.y.size(), 0.0);
  const double k_scale = in.k_scale.defined() ? in.k_scale.as<float>()[0] : 1.0;
  const double v_scale = in.v_scale.defined() ? in.v_scale.as<float>()[0] : 1.0;
  const int64_t width = in.block_table.shape()[1];
  int64_t row = 0;
  for (size_t s = 0; s < c.sequences.size(); ++s) {
    const auto [queries, length] = c.sequences[s];
    for (int query = 0; query < queries; ++query, ++row) {
      const int64_t position = length - queries + query;
      const int64_t first = c.window > 0 ? std::max<int64_t>(0, position + 1 - c.window) : 0;
      for (int64_t head = 0; head < c.heads; ++head) {
        const auto at = [&](int64_t token) {
          const int64_t block =
              in.block_table.as<int32_t>()[s * width + token / c.tokens_per_block];
          return ((block * c.kv_heads + head / (c.heads / c.kv_heads)) * c.tokens_per_block +
                  token % c.tokens_per_block) *
                 c.head_dim;
        };
        const int64_t q = (row * c.heads + head) * c.head_dim;
        std::vector<double> logits;
        for (int64_t token = first; token <= position; ++token) {
          double dot = 0, magnitude = 0;
          for (int64_t i = 0; i < c.head_dim; ++i) {
            const double product = static_cast<double>(element(in.q.view(), q + i)) *
                                   element(in.k_cache.view(), at(token) + i);
            dot += product;
            magnitude += std::abs(product);
          }
          logits.push_back(dot * in.params.softmax_scale * k_scale);
          expected.largest_logit =
              std::max(expected.largest_logit, magnitude * in.params.softmax_scale * k_scale);
        }
        const double largest = *std::max_element(logits.begin(), logits.end());
        double total = 0;
        for (double& logit : logits) total += logit = std::exp(logit - largest);
        for (int64_t i = 0; i < c.head_dim; ++i) {
          double sum = 0, magnitude = 0;
          for (size_t j = 0; j < logits.size(); ++j) {
            const double term = logits[j] / total * v_scale *
                                element(in.v_cache.view(), at(first + static_cast<int64_t>(j)) + i);
            sum += term;
            magnitude += std::abs(term);
          }
          expected.y[q + i] = sum;
          expected.magnitude[q + i] = magnitude;
        }
      }
    }
  }
  return expected;
}

DeviceCall make_call(const Inputs& in) {
  DeviceCall call;
  call.params(in.params).in(in.q).in(in.k_cache).in(in.v_cache).in(in.query_start);
  call.in(in.query_length).in(in.kv_length).in(in.block_table);
  if (in.k_scale.defined()) {
    call.in(in.k_scale).in(in.v_scale);
  } else {
    call.none().none();
  }
  return call;
}

// A weight is exp of a logit whose error is 2^-22 of Σ |q k| (fp32 steps of a short sum), rounded
// to 8 bits (bfloat16) or 11 (half) before it meets v; the same holds for the reference without it.
void expect_attention(const Case& c, const Expected& expected, const Tensor& y,
                      double weight_rounding, std::string_view what) {
  const double unit = 2 * (expected.largest_logit * 0x1p-21 + weight_rounding + 64 * 0x1p-24);
  double worst = 0;
  for (size_t i = 0; i < expected.y.size(); ++i) {
    const double error = std::abs(element(y.view(), i) - expected.y[i]);
    const double bound =
        epsilon_of(y.dtype()) * std::abs(expected.y[i]) + unit * expected.magnitude[i] + 1e-12;
    worst = std::max(worst, std::isnan(error) ? 1e30 : error / bound);
  }
  EXPECT_LE(worst, 1.0) << what << " heads " << c.heads << "/" << c.kv_heads << " dim "
                        << c.head_dim << " page " << c.tokens_per_block;
}

void check(const Case& c, std::initializer_list<const char*> kernels) {
  const Inputs in = make_inputs(c);
  const Expected expected = oracle(c, in);
  const double rounding = c.cache == DType::kE4M3 ? 0x1p-11 : 0x1p-8;
  for (const char* kernel : kernels) {
    Tensor y(DType::kBF16, in.q.shape());
    DeviceCall call = make_call(in);
    call.none().out(y).run(kernel);
    expect_attention(c, expected, y, rounding, kernel);
    const Tensor scale = scalar(0.003f);
    Tensor codes(DType::kE4M3, in.q.shape()), after(DType::kE4M3, in.q.shape());
    DeviceCall fused = make_call(in);
    fused.in(scale).out(codes).run(kernel);
    DeviceCall quantized;
    quantized.in(y).in(scale).out(after).run("cuda_quantize");
    expect_same_bytes(codes, after, kernel);
  }
}

// Around the steps of warps, the stages of CTAs and the turns of clusters; some without a query.
std::vector<std::pair<int, int>> edge_lengths() {
  std::vector<std::pair<int, int>> sequences;
  for (const int length :
       {1, 0, 15, 16, 17, 31, 32, 33, 63, 64, 65, 0, 127, 128, 129, 1023, 1025, 0})
    sequences.emplace_back(length > 0 ? 1 : 0, length);
  return sequences;
}

class Decode : public ::testing::TestWithParam<Case> {};

TEST_P(Decode, MatchesDoubles) {
  OCTAVO_REQUIRE_DEVICE();
  check(GetParam(), {"cuda_attention_reference", "cuda_attention_decode", "cuda_attention_context",
                     "cuda_attention_context_portable"});
}

INSTANTIATE_TEST_SUITE_P(
    Grid, Decode,
    ::testing::Values(Case{DType::kE4M3, 4, 1, 128, 32, 0, {{1, 1}, {1, 31}, {1, 33}, {1, 700}}},
                      Case{DType::kBF16, 8, 1, 128, 64, 0, {{1, 64}, {1, 65}, {1, 1000}}},
                      Case{DType::kE4M3, 16, 1, 64, 16, 0, {{1, 15}, {1, 16}, {1, 17}, {1, 300}}},
                      Case{DType::kBF16, 3, 3, 64, 32, 0, {{1, 5}, {1, 1025}}},
                      Case{DType::kE4M3, 32, 8, 128, 64, 0, {{1, 3072}}},
                      Case{DType::kE4M3, 16, 2, 128, 32, 100, {{1, 50}, {1, 101}, {1, 513}}},
                      Case{DType::kE4M3, 8, 2, 128, 32, 0, {{1, 40}, {0, 0}, {1, 7}, {0, 12}}, 2},
                      Case{DType::kBF16, 5, 1, 64, 48, 0, {{0, 0}, {2, 77}, {1, 9}, {0, 5}}, 1},
                      Case{DType::kE4M3, 8, 2, 128, 64, 0, edge_lengths(), 3},
                      Case{DType::kE4M3, 16, 1, 128, 32, 0, edge_lengths(), 3},
                      Case{DType::kBF16, 6, 2, 128, 64, 0, edge_lengths(), 3},
                      Case{DType::kBF16, 12, 1, 128, 16, 0, edge_lengths(), 3},
                      Case{DType::kE4M3, 7, 7, 64, 64, 0, edge_lengths(), 3},
                      Case{DType::kBF16, 16, 1, 64, 32, 0, edge_lengths(), 3},
                      Case{DType::kE4M3, 8, 1, 128, 64, 65, edge_lengths(), 3},
                      Case{DType::kE4M3, 1, 1, 64, 128, 1, edge_lengths(), 3}));

class Context : public ::testing::TestWithParam<Case> {};

TEST_P(Context, MatchesDoubles) {
  OCTAVO_REQUIRE_DEVICE();
  check(GetParam(),
        {"cuda_attention_reference", "cuda_attention_context", "cuda_attention_context_portable"});
}

INSTANTIATE_TEST_SUITE_P(
    Grid, Context,
    ::testing::Values(Case{DType::kE4M3, 4, 1, 128, 32, 0, {{33, 33}, {129, 129}, {1, 400}}},
                      Case{DType::kBF16, 4, 2, 128, 64, 0, {{127, 127}, {5, 300}, {64, 64}}},
                      Case{DType::kBF16, 2, 2, 64, 16, 0, {{31, 31}, {200, 263}}, 3},
                      Case{DType::kE4M3, 3, 1, 64, 32, 0, {{2, 2}, {0, 9}, {140, 500}}, 1},
                      Case{DType::kE4M3, 2, 1, 128, 32, 70, {{150, 220}, {1, 90}, {17, 17}}},
                      Case{DType::kBF16, 2, 1, 128, 32, 1, {{70, 70}}},
                      // A lone sequence, with rows that nobody owns.
                      Case{DType::kE4M3, 2, 2, 128, 32, 0, {{200, 200}}, 3},
                      Case{DType::kBF16, 2, 1, 64, 64, 0, {{1, 300}}, 2},
                      // Several tiles of rows and of keys, over cached tokens.
                      Case{DType::kE4M3, 2, 1, 128, 64, 0, {{300, 900}, {256, 256}, {2, 1030}}},
                      Case{DType::kBF16, 2, 1, 128, 64, 0, {{130, 700}, {128, 256}, {129, 385}}},
                      Case{DType::kBF16, 2, 1, 64, 32, 0, {{390, 800}}},
                      Case{DType::kE4M3, 2, 1, 128, 48, 300, {{400, 1000}}},
                      Case{DType::kBF16, 2, 1, 64, 16, 129, {{260, 600}}}));

// More tiles than multiprocessors, of more sequences than a warp looks at together.
TEST(Context, ManySequencesAndHeads) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType cache : {DType::kE4M3, DType::kBF16}) {
    Case c = {cache, 16, 1, 64, 32, 0, {}, 5};
    for (int i = 0; i < 40; ++i) c.sequences.emplace_back(i % 7 == 3 ? 0 : i % 23 + 1, i + 25);
    c.sequences.emplace_back(200, 210);
    check(c, {"cuda_attention_context"});
  }
}

// Tiles of keys stand at fixed positions: how a sequence is cut into chunks changes nothing.
TEST(Context, ChunksGiveTheSameBytes) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType cache : {DType::kE4M3, DType::kBF16}) {
    const Case c = {cache, 4, 2, 128, 32, 0, {{333, 421}}};
    Inputs in = make_inputs(c);
    Tensor whole(DType::kBF16, in.q.shape());
    DeviceCall call = make_call(in);
    call.none().out(whole).run("cuda_attention_context");
    const int64_t width = c.heads * c.head_dim;
    for (const int rows : {332, 77, 2}) {
      Tensor q(DType::kBF16, {rows, width}), expected(DType::kBF16, q.shape());
      std::memcpy(q.data(), in.q.data() + (333 - rows) * width * 2, q.bytes());
      std::memcpy(expected.data(), whole.data() + (333 - rows) * width * 2, q.bytes());
      Inputs chunk = in;
      chunk.q = q;
      chunk.query_length = vector_of(DType::kI32, std::vector<int32_t>{rows});
      Tensor y(DType::kBF16, q.shape());
      DeviceCall again = make_call(chunk);
      again.none().out(y).run("cuda_attention_context");
      expect_same_bytes(y, expected, "a chunk");
    }
  }
}

// q as cuda_attention_context_fp8 rounds it.
Tensor rounded_queries(const Case& c, const Tensor& q) {
  Tensor rounded(q.dtype(), q.shape());
  for (int64_t first = 0; first < q.shape().elements(); first += c.head_dim) {
    float largest = 0;
    for (int64_t i = 0; i < c.head_dim; ++i)
      largest = std::max(largest, std::abs(element(q.view(), first + i)));
    const float factor = largest == 0 ? 1.0f : std::ldexp(1.0f, 7 - std::ilogb(largest));
    for (int64_t i = 0; i < c.head_dim; ++i) {
      const e4m3 code = to_e4m3(element(q.view(), first + i) * factor);
      set_element(rounded.view(), first + i, to_float(code) / factor);  // exact in bfloat16
    }
  }
  return rounded;
}

class ContextFp8 : public ::testing::TestWithParam<Case> {};

// Against doubles with the same rounded queries, and with the queries as they were. A product of
// codes is exact; 13 bits below the largest of the 33 addends of a step of 32 are kept at least.
TEST_P(ContextFp8, MatchesDoubles) {
  OCTAVO_REQUIRE_DEVICE();
  const Case& c = GetParam();
  Inputs in = make_inputs(c);
  Inputs rounded = in;
  rounded.q = rounded_queries(c, in.q);
  Inputs moved = in;  // what rounding takes away
  moved.q = Tensor(DType::kF32, in.q.shape());
  for (int64_t i = 0; i < in.q.shape().elements(); ++i)
    moved.q.as<float>()[i] = element(in.q.view(), i) - element(rounded.q.view(), i);
  Tensor y(DType::kBF16, in.q.shape());
  DeviceCall call = make_call(in);
  call.none().out(y).run("cuda_attention_context_fp8");
  const Expected same = oracle(c, rounded);
  const double sums = same.largest_logit * (c.head_dim / 32.0) * 33 * 0x1p-13;
  expect_attention(c, same, y, std::expm1(2 * sums) / 2 + 0x1p-11, "rounded queries");
  const double rounding = oracle(c, moved).largest_logit + sums;
  expect_attention(c, oracle(c, in), y, std::expm1(2 * rounding) / 2 + 0x1p-11, "queries");
}

// A logit of every whole number: whatever is swapped or left out shows.
TEST(ContextFp8, IntegersAreExact) {
  OCTAVO_REQUIRE_DEVICE();
  const Case c = {DType::kE4M3, 2, 1, 128, 32, 0, {{260, 300}}};
  Values values(11);
  Inputs in = make_inputs(c);
  in.params.softmax_scale = 0.125f;
  in.k_scale = scalar(1.0f);
  in.q = values.integers(DType::kBF16, in.q.shape(), 1);
  const Tensor keys = values.integers(DType::kE4M3, in.k_cache.shape(), 1);
  std::memcpy(in.k_cache.data(), keys.data(), keys.bytes());
  Tensor y(DType::kBF16, in.q.shape());
  DeviceCall call = make_call(in);
  call.none().out(y).run("cuda_attention_context_fp8");
  expect_attention(c, oracle(c, in), y, 0x1p-11, "integers");
}

INSTANTIATE_TEST_SUITE_P(
    Grid, ContextFp8,
    ::testing::Values(Case{DType::kE4M3, 4, 1, 128, 32, 0, {{33, 33}, {129, 129}}},
                      Case{DType::kE4M3, 3, 1, 64, 32, 0, {{2, 2}, {0, 9}, {140, 500}}, 1},
                      Case{DType::kE4M3, 2, 1, 128, 32, 70, {{150, 220}, {17, 17}}},
                      Case{DType::kE4M3, 2, 1, 128, 64, 0, {{300, 900}, {256, 256}, {2, 1030}}},
                      Case{DType::kE4M3, 2, 2, 64, 16, 0, {{390, 800}}, 3}));

// Shapes that no tensor core kernel takes.
TEST(Reference, OddShapesAndFloats) {
  OCTAVO_REQUIRE_DEVICE();
  const Case c = {DType::kF32, 6, 3, 40, 5, 0, {{1, 1}, {7, 19}, {3, 3}}, 1};
  const Inputs in = make_inputs(c, DType::kF32);
  const Expected expected = oracle(c, in);
  Tensor y(DType::kF32, in.q.shape());
  DeviceCall call = make_call(in);
  call.none().out(y).run("cuda_attention_reference");
  expect_attention(c, expected, y, 0.0, "reference");
}

// Every split of the keys over a cluster, and the same bytes twice.
TEST(DecodeSplit, EverySplitAndRepeatable) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType cache : {DType::kBF16, DType::kE4M3}) {
    for (const int64_t head_dim : {64, 128}) {
      // The kernel takes its split from the number of sequences: repeat them.
      for (const int copies : {1, 16, 32, 64}) {
        Case many = {cache, 8, 2, head_dim, 32, 0, {}};
        for (int i = 0; i < copies; ++i) many.sequences.emplace_back(1, 130 + i);
        const Inputs inputs = make_inputs(many);
        const Expected wanted = oracle(many, inputs);
        Tensor y(DType::kBF16, inputs.q.shape()), again(DType::kBF16, inputs.q.shape());
        DeviceCall call = make_call(inputs);
        call.none().out(y).run("cuda_attention_decode");
        expect_attention(many, wanted, y, cache == DType::kE4M3 ? 0x1p-11 : 0x1p-8, "decode");
        DeviceCall second = make_call(inputs);
        second.none().out(again).run("cuda_attention_decode");
        expect_same_bytes(y, again, "two runs");
      }
    }
  }
}

Tensor decode_with(const Inputs& in, const std::string& tactic) {
  Tensor y(DType::kBF16, in.q.shape());
  DeviceCall call = make_call(in);
  call.tactic(tactic).none().out(y).run("cuda_attention_decode");
  return y;
}

// How a launch starts and makes way changes no byte; the split changes the order of sums alone.
void check_tactics(const Case& c) {
  const Inputs in = make_inputs(c);
  const Tensor y = decode_with(in, "");
  const int sequences = static_cast<int>(c.sequences.size());
  const int own =
      cuda::plan_decode(sequences, static_cast<int>(c.kv_heads), cuda::multiprocessors()).split;
  for (const std::string& tactic :
       {std::string("early"), std::string("alone keys"), std::string("short"),
        std::string("early short keys"), fmt::format("split {} short", own),
        std::string("not a tactic")})
    expect_same_bytes(decode_with(in, tactic), y, tactic);
  const Expected expected = oracle(c, in);
  const double rounding = c.cache == DType::kE4M3 ? 0x1p-11 : 0x1p-8;
  for (const char* tactic : {"split 2", "split 4 short", "split 8 keys"})
    expect_attention(c, expected, decode_with(in, tactic), rounding, tactic);
}

// With a cluster for each pair, and with more pairs.
TEST(DecodeTactic, AllButTheSplitKeepTheBytes) {
  OCTAVO_REQUIRE_DEVICE();
  for (const DType cache : {DType::kBF16, DType::kE4M3}) {
    for (const int64_t head_dim : {64, 128}) {
      check_tactics({cache, 4, 2, head_dim, 32, 0, {{1, 700}}});
      check_tactics({cache, 6, 2, head_dim, 32, 0, {{1, 161}, {0, 0}, {1, 33}}, 1});
    }
    check_tactics({cache, 12, 1, 128, 64, 0, {{1, 300}}});
  }
}

// Rows of q and y that start anywhere.
TEST(DecodeRows, Unaligned) {
  OCTAVO_REQUIRE_DEVICE();
  const Case c = {DType::kE4M3, 8, 2, 128, 32, 0, {{1, 70}, {0, 0}, {1, 3}}, 1};
  const Inputs in = make_inputs(c);
  Tensor y(DType::kBF16, in.q.shape());
  DeviceCall call;
  call.pitch(3);
  call.params(in.params).in(in.q).in(in.k_cache).in(in.v_cache).in(in.query_start);
  call.in(in.query_length).in(in.kv_length).in(in.block_table).in(in.k_scale).in(in.v_scale);
  call.none().out(y).run("cuda_attention_decode");
  expect_attention(c, oracle(c, in), y, 0x1p-11, "unaligned");
}

Tensor reversed_rows(const Tensor& tensor) {
  Tensor reversed(tensor.dtype(), tensor.shape());
  const int64_t rows = tensor.shape()[0];
  const int64_t bytes = tensor.bytes() / rows;
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(reversed.data() + i * bytes, tensor.data() + (rows - 1 - i) * bytes, bytes);
  return reversed;
}

// More sequences than clusters, of all lengths: they are served longest first. A sequence's bytes
// do not depend on its place in the batch, nor on the lengths of the others.
TEST(DecodeSchedule, ManySequencesInAnyOrder) {
  OCTAVO_REQUIRE_DEVICE();
  Case c = {DType::kE4M3, 8, 2, 128, 32, 0, {}};
  Values values(5);
  for (int i = 0; i < 150; ++i) {
    const int length = i % 7 == 3 ? 0 : 1 + values.below(i % 5 == 0 ? 900 : 90);
    c.sequences.emplace_back(length > 0 ? 1 : 0, length);
    c.unowned_rows += length > 0 ? 0 : 1;
  }
  const Inputs in = make_inputs(c);
  const Expected expected = oracle(c, in);
  const auto decode = [](const Inputs& inputs) {
    Tensor y(DType::kBF16, inputs.q.shape());
    DeviceCall call = make_call(inputs);
    call.none().out(y).run("cuda_attention_decode");
    return y;
  };
  const Tensor y = decode(in);
  expect_attention(c, expected, y, 0x1p-11, "in order");

  Inputs reversed = in;
  for (Tensor* tensor :
       {&reversed.query_start, &reversed.query_length, &reversed.kv_length, &reversed.block_table})
    *tensor = reversed_rows(*tensor);
  expect_same_bytes(y, decode(reversed), "reversed batch");

  Inputs shortened = in;
  shortened.kv_length = vector_of(DType::kI32, std::vector<int32_t>(c.sequences.size(), 1));
  shortened.kv_length.as<int32_t>()[0] = c.sequences[0].second;
  const Tensor first = decode(shortened);
  for (int64_t i = 0; i < c.heads * c.head_dim; ++i)
    ASSERT_EQ(element(first.view(), i), element(y.view(), i)) << i;
}

}  // namespace
}  // namespace octavo::testing
