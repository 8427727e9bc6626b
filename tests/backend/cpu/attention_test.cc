// Attention gives the same bits however tokens are chunked, batched and spread over threads.
// SPDX-License-Identifier: Apache-2.0
#include "ops/attention.h"

#include "backend/cpu/cpu_features.h"
#include "backend/cpu/run_kernel.h"
#include "ops/attention_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

// Bytes of rows [begin, end) of the output.
std::vector<std::byte> rows_of(const OpCase& one, int64_t begin, int64_t end) {
  const HostTensor& y = one.outputs[0];
  const std::vector<std::byte> all = bytes_of(y);
  const int64_t row_bytes = y.shape()[1] * size_of(y.dtype());
  return {all.begin() + begin * row_bytes, all.begin() + end * row_bytes};
}

// The same call with the query rows [begin, begin + length) of its only sequence.
OpCase chunk_of(const OpCase& whole, int64_t begin, int64_t length) {
  OpCase one = whole;
  const int64_t prefix = static_cast<int64_t>(whole.inputs[kKvLength].get(0)) -
                         static_cast<int64_t>(whole.inputs[kLength].get(0));
  one.inputs[kStart].set(0, static_cast<double>(begin));
  one.inputs[kLength].set(0, static_cast<double>(length));
  one.inputs[kKvLength].set(0, static_cast<double>(prefix + begin + length));
  return one;
}

std::vector<AttentionSpec> reproducible_specs() {
  std::vector<AttentionSpec> specs;
  for (const DType cache : {DType::kF32, DType::kBF16, DType::kE4M3}) {
    specs.push_back({.dtype = DType::kBF16, .cache = cache});
    specs.push_back({.head_dim = 40, .tokens_per_block = 7, .window = 37, .cache = cache});
    specs.push_back({.heads = 5, .kv_heads = 1, .head_dim = 128, .cache = cache});
  }
  return specs;
}

TEST(AttentionTest, ChunksGiveTheBitsOfTheWhole) {
  for (AttentionSpec spec : reproducible_specs()) {
    SCOPED_TRACE(spec.name());
    spec.sequences = {{150, 163}};
    spec.free_rows = 0;
    OpCase whole = attention_inputs(spec, 1);
    const OpCase inputs = whole;
    run_on_cpu(whole);
    for (const int64_t length : {1, 13, 32, 64}) {
      // Of the single tokens, some.
      for (int64_t begin = 0; begin < 150; begin += length == 1 ? 17 : length) {
        const int64_t count = std::min(length, 150 - begin);
        OpCase chunk = chunk_of(inputs, begin, count);
        run_on_cpu(chunk);
        ASSERT_EQ(rows_of(chunk, begin, begin + count), rows_of(whole, begin, begin + count))
            << "rows from " << begin << " in chunks of " << length;
      }
    }
  }
}

TEST(AttentionTest, ABatchGivesTheBitsOfItsSequencesAlone) {
  for (AttentionSpec spec : reproducible_specs()) {
    SCOPED_TRACE(spec.name());
    spec.sequences = {{1, 70}, {40, 40}, {3, 95}, {1, 1}};
    OpCase batch = attention_inputs(spec, 2);
    const OpCase inputs = batch;
    run_on_cpu(batch);
    for (size_t s = 0; s < spec.sequences.size(); ++s) {
      OpCase alone = inputs;
      for (size_t other = 0; other < spec.sequences.size(); ++other) {
        if (other != s) alone.inputs[kLength].set(static_cast<int64_t>(other), 0);
      }
      run_on_cpu(alone);
      const auto start = static_cast<int64_t>(inputs.inputs[kStart].get(static_cast<int64_t>(s)));
      const int64_t end = start + spec.sequences[s].query_length;
      EXPECT_EQ(rows_of(alone, start, end), rows_of(batch, start, end)) << "sequence " << s;
    }
  }
}

TEST(AttentionTest, ThreadsAndInstructionSetsDoNotChangeTheBits) {
  for (AttentionSpec spec : reproducible_specs()) {
    SCOPED_TRACE(spec.name());
    spec.sequences = {{1, 70}, {100, 100}, {3, 95}};
    OpCase first = attention_inputs(spec, 3);
    const OpCase inputs = first;
    run_on_cpu(first, 1);
    for (const int threads : {2, 4}) {
      OpCase again = inputs;
      run_on_cpu(again, threads);
      EXPECT_EQ(bytes_of(again.outputs[0]), bytes_of(first.outputs[0])) << threads << " threads";
    }
    for (const CpuLevel level : {CpuLevel::kScalar, CpuLevel::kAvx2, CpuLevel::kAvx512}) {
      const CpuLevelLimit limit(level);
      OpCase again = inputs;
      run_on_cpu(again);
      EXPECT_EQ(bytes_of(again.outputs[0]), bytes_of(first.outputs[0])) << to_string(level);
    }
  }
}

// What stands behind a token's position must not reach it, not even as zero times infinity.
TEST(AttentionTest, LaterTokensDoNotReachEarlierOnes) {
  AttentionSpec spec{.sequences = {{40, 40}}, .free_rows = 0};
  OpCase clean = attention_inputs(spec, 4);
  OpCase poisoned = clean;
  for (const AttentionInput cache : {kKeys, kValues}) {
    for (int64_t head = 0; head < spec.kv_heads; ++head) {
      const int64_t element = cache_element(clean, 0, head, 30);
      for (int64_t i = 0; i < spec.head_dim; ++i)
        poisoned.inputs[cache].set(element + i, i % 2 == 0 ? NAN : INFINITY);
    }
  }
  run_on_cpu(clean);
  run_on_cpu(poisoned);
  EXPECT_EQ(rows_of(poisoned, 0, 30), rows_of(clean, 0, 30));
  for (int64_t i = 30 * 256; i < 40 * 256; ++i) {
    ASSERT_TRUE(std::isnan(poisoned.outputs[0].get(i))) << "an error in the cache must show";
  }
}

// Blocks behind the window may belong to others already: their ids are not even looked at.
TEST(AttentionTest, BlocksBehindTheWindowAreNotRead) {
  AttentionSpec spec{.tokens_per_block = 8, .window = 16, .sequences = {{2, 64}}, .free_rows = 0};
  OpCase one = attention_case(spec, 5);
  for (int64_t i = 0; i < 5; ++i) one.inputs[kTable].set(i, -1);
  const HostTensor before = one.outputs[0];
  run_on_cpu(one);
  check_output(before, one.outputs[0], one.expected[0]);
}

TEST(AttentionTest, WithAScaleWritesTheBytesOfAttentionAndQuantize) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    AttentionSpec spec{.dtype = dtype, .output = dtype, .sequences = {{5, 20}, {1, 50}}};
    OpCase plain = attention_inputs(spec, 6);
    OpCase fused = plain;
    fused.inputs.back() = scale_tensor(kOutputScale);
    fused.outputs = {{DType::kE4M3, plain.outputs[0].shape()}};
    const HostTensor codes = fused.outputs[0];
    run_on_cpu(plain);
    run_on_cpu(fused);
    const auto expected =
        results(Op::kQuantize, {}, {plain.outputs[0], scale_tensor(kOutputScale)}, {codes});
    EXPECT_EQ(bytes_of(fused.outputs[0]), bytes_of(expected[0]));
  }
}

}  // namespace
}  // namespace octavo
