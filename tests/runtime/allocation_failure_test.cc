// The N-th allocation of a run fails, for every N: typed error, no request lost, no leak.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "byte_tokenizer.h"
#include "fake_executor.h"
#include "runtime/engine.h"

namespace {
thread_local int64_t allocations_left = -1;  // -1: unlimited
}  // namespace

// Not inlined: the compiler would take malloc and delete for a mismatched pair.
[[gnu::noinline]] void* operator new(size_t size) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace octavo {
namespace {

constexpr int32_t kVocab = 300;

EngineOptions make_options() {
  return {.scheduler = {.policy = SchedulerPolicy::kMaxUtilization,
                        .max_batch_size = 3,
                        .max_num_tokens = 8,
                        .max_seq_len = 40,
                        .tokens_per_block = 2,
                        .num_blocks = 14,
                        .depth = 1},
          .vocab_size = kVocab,
          .eos_token_ids = {0},
          .tokenizer = testing::byte_tokenizer()};
}

// Submits five requests and runs them. True where no allocation failed.
bool run(const EngineOptions& options, int64_t allowed) {
  testing::FakeExecutor executor({.num_blocks = 14,
                                  .tokens_per_block = 2,
                                  .vocab_size = kVocab,
                                  .max_batch_size = 3,
                                  .max_num_tokens = 8,
                                  .depth = 1});
  Engine engine(options, executor);
  size_t submitted = 0;
  bool failed = false;
  allocations_left = allowed;
  for (int i = 0; i < 5; ++i) {
    try {
      Request request{.prompt = "some text"};
      request.sampling.max_tokens = 8 + i;
      request.sampling.presence_penalty = 1;
      engine.submit(std::move(request));
      ++submitted;
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  }
  bool poisoned = false;
  try {
    engine.run_until_idle();
  } catch (const std::bad_alloc&) {
    failed = poisoned = true;
  }
  failed |= allocations_left < 0;
  allocations_left = -1;
  if (!poisoned) {
    engine.scheduler().check_invariants();
    EXPECT_EQ(engine.scheduler().blocks().num_used(), 0);
  }
  EXPECT_EQ(engine.take_finished().size(), submitted);
  return !failed;
}

TEST(AllocationFailure, LosesNoRequestWhereverItStrikes) {
  const EngineOptions options = make_options();
  int64_t allowed = 0;
  while (!run(options, allowed)) {
    if (HasFailure()) FAIL() << "after " << allowed << " allocations";
    ++allowed;
    ASSERT_LT(allowed, 100000);
  }
  EXPECT_GT(allowed, 500);
}

}  // namespace
}  // namespace octavo
