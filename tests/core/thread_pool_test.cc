// parallel_for covers its range once, in the same pieces for any number of threads.
// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace octavo {
namespace {

using Pieces = std::set<std::pair<int64_t, int64_t>>;

Pieces pieces_of(int threads, int64_t count, int64_t grain) {
  ThreadPool pool(threads);
  std::mutex mutex;
  Pieces pieces;
  pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(pieces.emplace(begin, end).second);
  });
  return pieces;
}

TEST(ThreadPoolTest, PiecesDoNotDependOnTheThreads) {
  for (const int64_t count : {0, 1, 7, 8, 9, 1000}) {
    for (const int64_t grain : {0, 1, 8, 5000}) {
      const Pieces alone = pieces_of(1, count, grain);
      int64_t next = 0;
      for (const auto& [begin, end] : alone) {
        EXPECT_EQ(begin, next);
        EXPECT_GT(end, begin);
        next = end;
      }
      EXPECT_EQ(next, count);
      for (const int threads : {2, 4}) EXPECT_EQ(pieces_of(threads, count, grain), alone);
    }
  }
}

TEST(ThreadPoolTest, ManyShortLoopsInARow) {
  ThreadPool pool(3);
  std::atomic<int64_t> total{0};
  for (int round = 0; round < 2000; ++round) {
    pool.parallel_for(10, 1, [&](int64_t begin, int64_t) { total += begin; });
  }
  EXPECT_EQ(total, 2000 * 45);
}

TEST(ThreadPoolTest, LoopsAfterASleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int64_t> calls{0};
    pool.parallel_for(100, 1, [&](int64_t, int64_t) { ++calls; });
    EXPECT_EQ(calls, 100);
  }
}

TEST(ThreadPoolTest, RethrowsAnExceptionAndStaysUsable) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 20; ++round) {
      EXPECT_THROW(pool.parallel_for(50, 1,
                                     [](int64_t begin, int64_t) {
                                       if (begin % 7 == 3) throw std::runtime_error("piece");
                                     }),
                   std::runtime_error);
    }
    std::atomic<int64_t> calls{0};
    pool.parallel_for(50, 1, [&](int64_t, int64_t) { ++calls; });
    EXPECT_EQ(calls, 50);
  }
}

TEST(ThreadPoolTest, SizeIncludesTheCaller) {
  EXPECT_EQ(ThreadPool(1).size(), 1);
  EXPECT_EQ(ThreadPool(4).size(), 4);
  EXPECT_GE(ThreadPool().size(), 1);
}

TEST(ThreadPoolTest, WorkIsSharedAmongThreads) {
  ThreadPool pool(2);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  // Every piece waits for the other, so one thread alone could never end the loop.
  std::atomic<int> arrived{0};
  pool.parallel_for(2, 1, [&](int64_t, int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 2u);
}

}  // namespace
}  // namespace octavo
