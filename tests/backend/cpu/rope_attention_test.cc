// rope_attention writes the bytes of rope_kv_append and attention.
// SPDX-License-Identifier: Apache-2.0
#include "ops/rope_attention.h"

#include "backend/cpu/run_kernel.h"
#include "ops/attention_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

// The slot of every sequence's last key; rows of no sequence have none.
HostTensor last_slots(const OpCase& attention, int64_t rows) {
  HostTensor slots(DType::kI64, {rows});
  for (int64_t row = 0; row < rows; ++row) slots.set(row, -1.0);
  const Shape& cache = attention.inputs[kKeys].shape();
  for (int64_t s = 0; s < attention.inputs[kStart].elements(); ++s) {
    if (attention.inputs[kLength].get(s) == 0) continue;
    const auto last = static_cast<int64_t>(attention.inputs[kKvLength].get(s)) - 1;
    const int64_t token = cache_element(attention, s, 0, last) / cache[3];
    slots.set(static_cast<int64_t>(attention.inputs[kStart].get(s)),
              static_cast<double>(token / (cache[1] * cache[2]) * cache[2] + token % cache[2]));
  }
  return slots;
}

TEST(RopeAttentionTest, WritesTheBytesOfItsParts) {
  for (const auto& [dtype, cache, output] :
       std::vector<std::array<DType, 3>>{{DType::kF32, DType::kF32, DType::kF32},
                                         {DType::kBF16, DType::kBF16, DType::kE4M3},
                                         {DType::kBF16, DType::kE4M3, DType::kBF16}}) {
    AttentionSpec spec{.window = 40, .dtype = dtype, .cache = cache, .output = output};
    spec.sequences = {{1, 1}, {0, 9}, {1, 16}, {1, 50}};
    const OpCase attention = attention_inputs(spec, 3);
    const auto& in = attention.inputs;
    std::mt19937 random(4);
    const int64_t rows = spec.rows(), columns = spec.kv_heads * spec.head_dim;
    const HostTensor k = normal_tensor(dtype, {rows, columns}, 8, random);
    const HostTensor v = normal_tensor(dtype, {rows, columns}, 0, random);
    HostTensor positions(DType::kI32, {rows});
    for (int64_t row = 0; row < rows; ++row) positions.set(row, static_cast<double>(11 * row));
    const HostTensor frequency = inverse_frequencies(spec.head_dim);
    const HostTensor slots = last_slots(attention, rows);
    const auto appended =
        results(Op::kRopeKvAppend, RopeParams{spec.head_dim},
                {in[kQ], k, v, positions, frequency, slots, in[kKScale], in[kVScale]},
                {{dtype, in[kQ].shape()}, in[kKeys], in[kValues]});
    const auto expected = results(Op::kAttention, attention.params,
                                  {appended[0], appended[1], appended[2], in[kStart], in[kLength],
                                   in[kKvLength], in[kTable], in[kKScale], in[kVScale], in.back()},
                                  attention.outputs);
    const auto fused = results(Op::kRopeAttention, attention.params,
                               {in[kQ], k, v, positions, frequency, slots, in[kStart], in[kLength],
                                in[kKvLength], in[kTable], in[kKScale], in[kVScale], in.back()},
                               {in[kKeys], in[kValues], attention.outputs[0]});
    EXPECT_EQ(bytes_of(fused[0]), bytes_of(appended[1]));
    EXPECT_EQ(bytes_of(fused[1]), bytes_of(appended[2]));
    EXPECT_EQ(bytes_of(fused[2]), bytes_of(expected[0]));
  }
}

}  // namespace
}  // namespace octavo
