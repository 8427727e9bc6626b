// Attention refuses index tensors that would read or write out of bounds.
// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/attention_tasks.h"

#include <set>

#include "backend/cpu/run_kernel.h"
#include "ops/attention_cases.h"

namespace octavo {
namespace {

using namespace testing_ops;

AttentionSpec two_sequences() {
  return {.tokens_per_block = 8, .sequences = {{4, 20}, {1, 9}}, .free_rows = 0};
}

AttentionArgs bind(const OpCase& one, std::vector<TensorView>& views) {
  views.clear();
  for (const HostTensor& tensor : one.inputs) views.push_back(tensor.view());
  static std::vector<TensorView> outputs;
  outputs = {one.outputs[0].view()};
  return AttentionArgs::bind({views, outputs, &one.params});
}

std::string message_of(AttentionInput input, int64_t element, double value) {
  OpCase one = attention_inputs(two_sequences(), 1);
  one.inputs[input].set(element, value);
  try {
    run_on_cpu(one);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInternal);
    return error.what();
  }
  return "";
}

TEST(AttentionTasksTest, RefusesIndicesOutOfBounds) {
  EXPECT_EQ(message_of(kStart, 0, 2), "[attention] query_start[0]: expected rows of q, got 2");
  EXPECT_EQ(message_of(kStart, 0, -1), "[attention] query_start[0]: expected rows of q, got -1");
  EXPECT_EQ(message_of(kStart, 1, 1),
            "[attention] query_start[1]: expected rows of no other sequence, got 1");
  EXPECT_EQ(message_of(kLength, 1, -3), "[attention] query_length[1]: expected 0 or more, got -3");
  EXPECT_EQ(message_of(kKvLength, 0, 3), "[attention] kv_length[0]: expected 4 or more, got 3");
  EXPECT_EQ(message_of(kKvLength, 1, 25), "[attention] kv_length[1]: expected 24 or less, got 25");
  EXPECT_EQ(message_of(kTable, 1, -1),
            "[attention] block_table[1]: expected an index below 8, got -1");
  EXPECT_EQ(message_of(kTable, 3, 8),
            "[attention] block_table[0]: expected an index below 8, got 8");
  EXPECT_EQ(message_of(kTable, 5, 99), "") << "an entry beyond the sequence is not read";
}

TEST(AttentionTasksTest, CoversEveryQueryOnce) {
  AttentionSpec spec{.heads = 6, .kv_heads = 2, .sequences = {{50, 60}, {0, 5}, {1, 40}}};
  const OpCase one = attention_inputs(spec, 1);
  std::vector<TensorView> views;
  const AttentionArgs args = bind(one, views);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (const AttentionTask& task : make_attention_tasks(args)) {
    EXPECT_LE(task.tokens * 3, 64);
    for (int64_t i = 0; i < task.tokens; ++i) {
      EXPECT_TRUE(seen.emplace(task.row + i, task.kv_head).second);
      EXPECT_EQ(task.position + i, task.sequence == 0 ? 10 + task.row + i : 39);
    }
  }
  EXPECT_EQ(seen.size(), 51u * 2u);
  EXPECT_EQ(rows_without_sequence(args), (std::vector<int64_t>{50, 51, 53}));
}

TEST(AttentionTasksTest, WindowEndsAtThePosition) {
  EXPECT_EQ(first_key(10, 0), 0);
  EXPECT_EQ(first_key(10, 1), 10);
  EXPECT_EQ(first_key(10, 4), 7);
  EXPECT_EQ(first_key(2, 4), 0);
}

}  // namespace
}  // namespace octavo
