// Block bookkeeping: capacity, sharing, eviction order, forced collisions, bugs of the caller.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/block_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"

namespace octavo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

uint64_t same_hash(uint64_t, uint64_t, std::span<const int32_t>) { return 42; }

std::vector<int32_t> range(int32_t first, int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Allocates and publishes a chain of full blocks of `tokens`.
std::vector<int32_t> publish_chain(BlockManager& manager, std::span<const int32_t> tokens,
                                   uint64_t salt = 0) {
  const size_t size = static_cast<size_t>(manager.tokens_per_block());
  std::vector<int32_t> blocks;
  BlockManager::ContentId parent = BlockManager::kNoContent;
  for (size_t start = 0; start + size <= tokens.size(); start += size) {
    blocks.push_back(manager.allocate(/*owner=*/1));
    parent = manager.publish(blocks.back(), salt, parent, tokens.subspan(start, size));
  }
  return blocks;
}

TEST(BlockManager, FreeUsedAndCachedAddUp) {
  BlockManager manager({.num_blocks = 4, .tokens_per_block = 2});
  EXPECT_EQ(manager.num_free(), 4);
  const auto blocks = publish_chain(manager, range(0, 4));
  const int32_t other = manager.allocate(2);
  EXPECT_EQ(manager.num_used(), 3);
  manager.release(blocks, 1);
  EXPECT_EQ(manager.num_cached(), 2);
  EXPECT_EQ(manager.num_available(), 3);
  manager.release(std::vector{other}, 2);
  EXPECT_EQ(manager.num_free(), 2);
  manager.check_invariants();
}

TEST(BlockManager, FindsTheLongestPrefixOfFullBlocks) {
  BlockManager manager({.num_blocks = 8, .tokens_per_block = 2});
  const auto blocks = publish_chain(manager, range(0, 6));
  EXPECT_EQ(manager.find_prefix(0, range(0, 6)).blocks, blocks);
  EXPECT_THAT(manager.find_prefix(0, range(0, 5)).blocks, ElementsAre(blocks[0], blocks[1]));
  EXPECT_THAT(manager.find_prefix(0, std::vector{0, 1, 9, 9}).blocks, ElementsAre(blocks[0]));
  EXPECT_THAT(manager.find_prefix(0, std::vector{0}).blocks, IsEmpty());
  // The same tokens in another place are another content.
  EXPECT_THAT(manager.find_prefix(0, range(2, 4)).blocks, IsEmpty());
}

TEST(BlockManager, CountsWhichOfAPrefixAreHeldAlready) {
  BlockManager manager({.num_blocks = 8, .tokens_per_block = 2});
  const auto blocks = publish_chain(manager, range(0, 4));
  EXPECT_EQ(manager.find_prefix(0, range(0, 4)).num_used, 2);
  manager.release(std::span(blocks).last(1), 1);
  EXPECT_EQ(manager.find_prefix(0, range(0, 4)).num_used, 1);
}

TEST(BlockManager, SharedBlocksAreFreedByTheLastHolder) {
  BlockManager manager({.num_blocks = 2, .tokens_per_block = 2});
  const auto blocks = publish_chain(manager, range(0, 2));
  manager.share(blocks, 2);
  EXPECT_EQ(manager.references(blocks[0]), 2);
  manager.release(blocks, 1);
  EXPECT_EQ(manager.num_used(), 1);
  manager.release(blocks, 2);
  EXPECT_EQ(manager.num_used(), 0);
  EXPECT_EQ(manager.num_cached(), 1);
  manager.share(blocks, 3);
  EXPECT_EQ(manager.num_cached(), 0);
  manager.check_invariants();
}

TEST(BlockManager, ForcedCollisionsNeverCrossHit) {
  BlockManager manager({.num_blocks = 8, .tokens_per_block = 2, .hash = same_hash});
  const auto a = publish_chain(manager, std::vector{1, 2, 3, 4});
  const auto b = publish_chain(manager, std::vector{5, 6, 3, 4});
  EXPECT_EQ(manager.find_prefix(0, std::vector{1, 2, 3, 4}).blocks, a);
  EXPECT_EQ(manager.find_prefix(0, std::vector{5, 6, 3, 4}).blocks, b);
  EXPECT_THAT(manager.find_prefix(0, std::vector{3, 4}).blocks, IsEmpty());
  EXPECT_THAT(manager.find_prefix(0, std::vector{2, 1}).blocks, IsEmpty());
  manager.release(a, 1);
  manager.release(b, 1);
  manager.check_invariants();
}

TEST(BlockManager, SaltsKeepTenantsApart) {
  for (const BlockManager::Hash hash :
       {BlockManager::Hash{nullptr}, BlockManager::Hash{same_hash}}) {
    BlockManager manager({.num_blocks = 8, .tokens_per_block = 2, .hash = hash});
    const auto mine = publish_chain(manager, range(0, 4), /*salt=*/1);
    EXPECT_THAT(manager.find_prefix(2, range(0, 4)).blocks, IsEmpty());
    EXPECT_THAT(manager.find_prefix(0, range(0, 4)).blocks, IsEmpty());
    EXPECT_EQ(manager.find_prefix(1, range(0, 4)).blocks, mine);
  }
}

TEST(BlockManager, EvictsTheLeastRecentlyUsedAndTheTailFirst) {
  BlockManager manager({.num_blocks = 4, .tokens_per_block = 1});
  const auto a = publish_chain(manager, std::vector{1, 2});
  const auto b = publish_chain(manager, std::vector{7, 8});
  manager.release(a, 1);
  manager.release(b, 1);
  manager.share(a, 2);  // a is the recent one now
  manager.release(a, 2);
  EXPECT_EQ(manager.allocate(3), b[1]);
  EXPECT_EQ(manager.allocate(3), b[0]);
  EXPECT_EQ(manager.allocate(3), a[1]);
  EXPECT_THAT(manager.find_prefix(0, std::vector{1, 2}).blocks, ElementsAre(a[0]));
  EXPECT_EQ(manager.counters().evicted, 3);
  manager.check_invariants();
}

TEST(BlockManager, AnEvictedParentDoesNotLendItsIdentity) {
  BlockManager manager({.num_blocks = 3, .tokens_per_block = 1, .hash = same_hash});
  const auto chain = publish_chain(manager, std::vector{1, 2});
  manager.release(std::span(chain).first(1), 1);
  const int32_t spare = manager.allocate(2);  // the free block
  const int32_t taken = manager.allocate(2);  // evicts the parent
  EXPECT_EQ(taken, chain[0]);
  manager.publish(taken, 0, BlockManager::kNoContent, std::vector{9});
  EXPECT_THAT(manager.find_prefix(0, std::vector{9, 2}).blocks, ElementsAre(taken));
  manager.publish(spare, 0, BlockManager::kNoContent, std::vector{1});
  EXPECT_THAT(manager.find_prefix(0, std::vector{1, 2}).blocks, ElementsAre(spare));
  manager.check_invariants();
}

TEST(BlockManager, TheSameContentIsPublishedOnce) {
  BlockManager manager({.num_blocks = 4, .tokens_per_block = 2});
  const auto first = publish_chain(manager, range(0, 2));
  const auto second = publish_chain(manager, range(0, 2));
  EXPECT_EQ(manager.counters().published, 1);
  manager.release(second, 1);
  EXPECT_EQ(manager.num_cached(), 0);  // the copy is worth nothing
  EXPECT_EQ(manager.find_prefix(0, range(0, 2)).blocks, first);
}

TEST(BlockManager, ForgottenContentIsNotFoundAndItsBlockIsFreed) {
  BlockManager manager({.num_blocks = 2, .tokens_per_block = 2});
  const auto held = publish_chain(manager, range(0, 2));
  manager.forget(held[0]);
  EXPECT_THAT(manager.find_prefix(0, range(0, 2)).blocks, IsEmpty());
  manager.release(held, 1);
  EXPECT_EQ(manager.num_free(), 2);
  const auto cached = publish_chain(manager, range(4, 2));
  manager.release(cached, 1);
  manager.forget(cached[0]);
  EXPECT_EQ(manager.num_free(), 2);
  manager.check_invariants();
}

TEST(BlockManager, WithoutReuseNothingIsCached) {
  BlockManager manager({.num_blocks = 2, .tokens_per_block = 2, .enable_reuse = false});
  const auto blocks = publish_chain(manager, range(0, 4));
  EXPECT_THAT(manager.find_prefix(0, range(0, 4)).blocks, IsEmpty());
  manager.release(blocks, 1);
  EXPECT_EQ(manager.num_free(), 2);
}

template <typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(BlockManager, BugsOfTheCallerAreReportedWithTheHistory) {
  BlockManager manager({.num_blocks = 1, .tokens_per_block = 2});
  const int32_t block = manager.allocate(/*owner=*/5);
  EXPECT_THAT(message_of([&] { manager.allocate(6); }), HasSubstr("without free blocks"));
  manager.release(std::vector{block}, 5);
  const std::string twice = message_of([&] { manager.release(std::vector{block}, 6); });
  EXPECT_THAT(twice, HasSubstr("request 6 releases block 0"));
  EXPECT_THAT(twice, HasSubstr("allocated by request 5, released by request 5"));
  EXPECT_THAT(message_of([&] { manager.release(std::vector{1}, 6); }),
              HasSubstr("foreign block 1"));
  EXPECT_THAT(message_of([&] { manager.release(std::vector{-1}, 6); }), HasSubstr("foreign block"));
  EXPECT_THAT(message_of([&] { manager.share(std::vector{0}, 6); }), HasSubstr("unpublished"));
  EXPECT_THAT(message_of([&] {
                manager.publish(0, 0, 0, std::vector{1, 2});
              }),
              HasSubstr("cannot be published"));
  manager.check_invariants();
}

TEST(BlockManager, RefusesAnEmptyPool) {
  EXPECT_THAT(message_of([] { BlockManager({.num_blocks = 0}); }), HasSubstr("num_blocks"));
  EXPECT_THAT(message_of([] { BlockManager({.num_blocks = 1, .tokens_per_block = 0}); }),
              HasSubstr("tokens_per_block"));
}

}  // namespace
}  // namespace octavo
