// Requests under way: pieces, the end, cancellation, many threads.
// SPDX-License-Identifier: Apache-2.0
#include "api/pending_completion.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "api/api_support.h"
#include "io/test_support.h"

namespace octavo {
namespace {

using std::chrono::milliseconds;

class PendingCompletionTest : public testing::Test {
 protected:
  PromptInput input(int64_t max_tokens) {
    PromptInput input{.prompt = "The compiler", .sampling = greedy(max_tokens)};
    input.sampling.ignore_eos = true;
    return input;
  }

  SilentProgress silent_;
  LLM llm_{pocket_options(), small_runtime(), silent_};
};

TEST_F(PendingCompletionTest, PiecesAddUpToTheResult) {
  PendingCompletion pending = llm_.generate_async(input(9), /*streaming=*/true);
  CompletionPiece all;
  while (const auto piece = pending.next()) {
    all.text += piece->text;
    all.token_ids.insert(all.token_ids.end(), piece->token_ids.begin(), piece->token_ids.end());
    EXPECT_TRUE(piece->logprobs.empty());
  }
  const Completion result = pending.result();
  EXPECT_EQ(all.text, result.text);
  EXPECT_EQ(all.token_ids, result.token_ids);
  EXPECT_EQ(result.finish_reason, "length");
  EXPECT_EQ(result.text, llm_.generate({input(9)}).front().text);
  EXPECT_FALSE(pending.next());
}

TEST_F(PendingCompletionTest, WithoutStreamingThereIsOnePiece) {
  PendingCompletion pending = llm_.generate_async(input(3));
  const auto piece = pending.next();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->token_ids, pending.result().token_ids);
  EXPECT_FALSE(pending.try_next());
}

TEST_F(PendingCompletionTest, CancelKeepsTheTokensSoFar) {
  PendingCompletion pending = llm_.generate_async(input(400), /*streaming=*/true);
  ASSERT_TRUE(pending.next());
  pending.cancel();
  const Completion result = pending.result();
  EXPECT_EQ(result.finish_reason, "abort");
  EXPECT_GE(result.token_ids.size(), 1u);
  EXPECT_LT(result.token_ids.size(), 400u);
  pending.cancel();
}

TEST_F(PendingCompletionTest, TheEndOfTheLlmEndsIt) {
  auto llm = std::make_unique<LLM>(dummy_options(), small_runtime(), silent_);
  SamplingParams sampling = greedy(400);
  sampling.ignore_eos = true;
  PendingCompletion pending =
      llm->generate_async({.prompt_token_ids = {0, 5}, .sampling = sampling});
  EXPECT_FALSE(pending.wait_end_for(milliseconds(0)));
  llm.reset();
  EXPECT_TRUE(pending.ended());
  EXPECT_EQ(pending.result().finish_reason, "abort");
  pending.cancel();
}

TEST_F(PendingCompletionTest, CallsBackForWhatIsThereAndWhatComes) {
  PendingCompletion pending = llm_.generate_async(input(2));
  pending.result();
  const auto calls = std::make_shared<std::atomic<int>>(0);  // the last call may outlive the test
  pending.on_piece([calls] { ++*calls; });
  EXPECT_EQ(*calls, 1);
  PendingCompletion next = llm_.generate_async(input(4), /*streaming=*/true);
  next.on_piece([calls] { ++*calls; });
  next.result();
  EXPECT_TRUE(next.wait_for(milliseconds(0)));
  EXPECT_GE(*calls, 2);
}

TEST_F(PendingCompletionTest, ManyThreadsEachWithParametersOfTheirOwn) {
  const auto expected = llm_.generate({input(2), input(5), input(7)});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (size_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      const std::vector<int64_t> lengths = {2, 5, 7};
      const Completion one = llm_.generate_async(input(lengths[i])).result();
      if (one.token_ids == expected[i].token_ids) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 3);
}

}  // namespace
}  // namespace octavo
