// RoPE and KV append, fused and separate, with slots in random order and unused ones.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/rope/rope_kv_append.h"

#include <algorithm>
#include <numeric>

#include "backend/cuda/device_call.h"

namespace octavo::testing {
namespace {

struct Case {
  DType dtype, cache;
  int64_t tokens, heads, kv_heads, head_dim, tokens_per_block, pitch;
};

struct Inputs {
  Tensor q, k, v, positions, frequency, slots, k_scale, v_scale;
  int64_t blocks;
};

Inputs make_inputs(const Case& c) {
  Values values(5);
  Inputs in;
  in.q = values.normal(c.dtype, {c.tokens, c.heads * c.head_dim});
  in.k = values.normal(c.dtype, {c.tokens, c.kv_heads * c.head_dim}, 2.0f);
  in.v = values.normal(c.dtype, {c.tokens, c.kv_heads * c.head_dim}, 0.5f);
  in.blocks = c.tokens / c.tokens_per_block + 2;
  std::vector<int64_t> slots(in.blocks * c.tokens_per_block);
  std::iota(slots.begin(), slots.end(), 0);
  std::shuffle(slots.begin(), slots.end(), values.engine());
  slots.resize(c.tokens);
  if (c.tokens > 2) slots[1] = -1;
  in.slots = vector_of(DType::kI64, slots);
  std::vector<int32_t> positions(c.tokens);
  for (int32_t& position : positions) position = values.below(131072);
  in.positions = vector_of(DType::kI32, positions);
  in.frequency = Tensor(DType::kF32, {c.head_dim / 2});
  for (int64_t i = 0; i < c.head_dim / 2; ++i)
    in.frequency.as<float>()[i] =
        static_cast<float>(std::pow(500000.0, -2.0 * static_cast<double>(i) / c.head_dim));
  in.k_scale = scalar(0.019f);
  in.v_scale = scalar(0.0042f);
  return in;
}

std::vector<double> rotated(const Tensor& x, const Inputs& in, int64_t head_dim) {
  std::vector<double> y(x.shape().elements());
  const int64_t columns = x.shape()[1];
  for (int64_t token = 0; token < x.shape()[0]; ++token) {
    for (int64_t head = 0; head < columns; head += head_dim) {
      for (int64_t i = 0; i < head_dim / 2; ++i) {
        // The angle is an fp32 product by definition; the rotation is exact here.
        const float angle =
            static_cast<float>(in.positions.as<int32_t>()[token]) * in.frequency.as<float>()[i];
        const int64_t at = token * columns + head + i;
        const double low = element(x.view(), at);
        const double high = element(x.view(), at + head_dim / 2);
        y[at] = low * std::cos(static_cast<double>(angle)) -
                high * std::sin(static_cast<double>(angle));
        y[at + head_dim / 2] = high * std::cos(static_cast<double>(angle)) +
                               low * std::sin(static_cast<double>(angle));
      }
    }
  }
  return y;
}

class RopeKvAppend : public ::testing::TestWithParam<Case> {};

TEST_P(RopeKvAppend, FusedEqualsSeparateAndRotatesRight) {
  OCTAVO_REQUIRE_DEVICE();
  const Case& c = GetParam();
  const Inputs in = make_inputs(c);
  const bool codes = c.cache == DType::kE4M3;
  const auto rope = [&](const Tensor& x, std::string_view kernel = "cuda_rope") {
    Tensor y(c.dtype, x.shape());
    DeviceCall call;
    call.pitch(c.pitch).params(RopeParams{c.head_dim});
    call.in(x).in(in.positions).in(in.frequency).out(y).run(kernel);
    return y;
  };
  const Tensor q = rope(in.q);
  const Tensor k = rope(in.k);
  // sincosf is within 2 ulp; values reach 4.5 deviations, times two terms.
  const std::vector<double> exact = rotated(in.q, in, c.head_dim);
  expect_close(q, exact, epsilon_of(c.dtype), 6.0 * 6 * 0x1p-24, "q");
  Tensor rounded(c.dtype, in.q.shape());
  for (int64_t i = 0; i < in.q.shape().elements(); ++i)
    set_element(rounded.view(), i, static_cast<float>(exact[i]));
  expect_same_bytes(rope(in.q, "cuda_rope_reference"), rounded, "reference");

  const Shape shape = {in.blocks, c.kv_heads, c.tokens_per_block, c.head_dim};
  const auto scales = [&](DeviceCall& call) {
    if (codes) {
      call.in(in.k_scale).in(in.v_scale);
    } else {
      call.none().none();
    }
  };
  Tensor k_cache(c.cache, shape), v_cache(c.cache, shape);
  DeviceCall append;
  append.pitch(c.pitch).in(k).in(in.v).in(in.slots);
  scales(append);
  append.in_out(k_cache).in_out(v_cache).run("cuda_kv_append");
  Tensor fused_k(c.cache, shape), fused_v(c.cache, shape), fused_q(c.dtype, in.q.shape());
  DeviceCall fused;
  fused.pitch(c.pitch).params(RopeParams{c.head_dim});
  fused.in(in.q).in(in.k).in(in.v).in(in.positions).in(in.frequency).in(in.slots);
  scales(fused);
  fused.out(fused_q).in_out(fused_k).in_out(fused_v).run("cuda_rope_kv_append");
  expect_same_bytes(fused_q, q, "q");
  expect_same_bytes(fused_k, k_cache, "k cache");
  expect_same_bytes(fused_v, v_cache, "v cache");

  Tensor expected(c.cache, shape);  // of v, which is not rotated
  for (int64_t token = 0; token < c.tokens; ++token) {
    const int64_t slot = in.slots.as<int64_t>()[token];
    if (slot < 0) continue;
    for (int64_t i = 0; i < c.kv_heads * c.head_dim; ++i) {
      const float value = element(in.v.view(), token * c.kv_heads * c.head_dim + i);
      const int64_t at =
          ((slot / c.tokens_per_block * c.kv_heads + i / c.head_dim) * c.tokens_per_block +
           slot % c.tokens_per_block) *
              c.head_dim +
          i % c.head_dim;
      if (codes) {
        expected.as<e4m3>()[at] = quantize(value, inverse_scale(in.v_scale.as<float>()[0]));
      } else {
        set_element(expected.view(), at, value);
      }
    }
  }
  expect_same_bytes(v_cache, expected, "v cache against the host");
}

INSTANTIATE_TEST_SUITE_P(Grid, RopeKvAppend,
                         ::testing::Values(Case{DType::kBF16, DType::kBF16, 1, 4, 1, 64, 32, 0},
                                           Case{DType::kBF16, DType::kE4M3, 33, 8, 2, 128, 32, 0},
                                           Case{DType::kBF16, DType::kE4M3, 31, 32, 8, 128, 64,
                                                1024},
                                           Case{DType::kBF16, DType::kBF16, 5, 3, 3, 96, 16, 3},
                                           Case{DType::kBF16, DType::kE4M3, 7, 5, 5, 6, 5, 1},
                                           Case{DType::kF32, DType::kF32, 9, 4, 2, 64, 32, 0},
                                           Case{DType::kF32, DType::kE4M3, 4, 2, 2, 10, 3, 0}));

}  // namespace
}  // namespace octavo::testing
