// The made-up step: its indices lie within its operands, and its caches stay within their limit.
// SPDX-License-Identifier: Apache-2.0
#include "builder/timed_step.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace octavo {
namespace {

Problem problem_of(int64_t sequences, int64_t block_tokens, int64_t width) {
  Problem problem{.op = Op::kRopeAttention,
                  .params = AttentionParams{.num_heads = 4, .num_kv_heads = 2, .head_dim = 64}};
  const auto add = [](std::vector<Problem::Operand>& list, Shape shape, DType dtype) {
    list.push_back({shape, dtype, true});
  };
  for (const int64_t columns : {256, 128, 128})
    add(problem.inputs, {sequences, columns}, DType::kBF16);
  add(problem.inputs, {sequences}, DType::kI32);
  add(problem.inputs, {32}, DType::kF32);
  add(problem.inputs, {sequences}, DType::kI64);
  for (int i = 0; i < 3; ++i) add(problem.inputs, {sequences}, DType::kI32);
  add(problem.inputs, {sequences, width}, DType::kI32);
  problem.inputs.resize(13);
  for (int i = 0; i < 2; ++i) add(problem.outputs, {1, 2, block_tokens, 64}, DType::kBF16);
  add(problem.outputs, {sequences, 256}, DType::kBF16);
  return problem;
}

template <typename T>
std::vector<T> values_of(const TimedStep& step, size_t index) {
  const std::vector<std::byte> bytes = step.contents(index);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(TimedStep, EverySequenceHasItsOwnBlocksAndEndsInItsSlot) {
  for (const auto& [sequences, block_tokens, width] :
       std::vector<std::array<int64_t, 3>>{{1, 64, 64}, {5, 32, 3}, {300, 16, 7}, {8, 1024, 1}}) {
    const TimedStep step(problem_of(sequences, block_tokens, width));
    const int64_t blocks = step.problem().outputs[0].shape[0];
    EXPECT_EQ(step.problem().outputs[1].shape[0], blocks);
    const int64_t pages = step.length() / block_tokens;
    ASSERT_GE(pages, 1);
    ASSERT_LE(pages, width);
    const auto table = values_of<int32_t>(step, 9);
    const auto slots = values_of<int64_t>(step, 5);
    ASSERT_EQ(std::ssize(table), sequences * width);
    ASSERT_EQ(std::ssize(slots), sequences);
    std::set<int32_t> used;
    for (int64_t s = 0; s < sequences; ++s) {
      for (int64_t page = 0; page < pages; ++page) {
        const int32_t block = table[static_cast<size_t>(s * width + page)];
        EXPECT_TRUE(block >= 0 && block < blocks && used.insert(block).second);
      }
      const int32_t last = table[static_cast<size_t>(s * width + pages - 1)];
      EXPECT_EQ(slots[static_cast<size_t>(s)], last * block_tokens + block_tokens - 1);
      EXPECT_EQ(values_of<int32_t>(step, 3)[static_cast<size_t>(s)], step.length() - 1);
      EXPECT_EQ(values_of<int32_t>(step, 6)[static_cast<size_t>(s)], s);
      EXPECT_EQ(values_of<int32_t>(step, 7)[static_cast<size_t>(s)], 1);
      EXPECT_EQ(values_of<int32_t>(step, 8)[static_cast<size_t>(s)], step.length());
    }
    EXPECT_TRUE(step.contents(0).empty());
  }
}

TEST(TimedStep, ManyLongSequencesAreCutShort) {
  const TimedStep step(problem_of(2048, 64, 2048));
  EXPECT_LE(step.problem().outputs[0].shape.elements() * 2, int64_t{512} << 20);
  EXPECT_EQ(step.length() % 64, 0);
  EXPECT_EQ(TimedStep(problem_of(1, 64, 2048)).length(), 2048);
}

}  // namespace
}  // namespace octavo
