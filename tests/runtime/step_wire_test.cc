// Steps between processes: what was sent is run, and what does not fit is refused.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/step_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "comm/free_port.h"
#include "core/error.h"

namespace octavo {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr SymbolValues kMaxima = {
    .tokens = 16, .sequences = 4, .logit_rows = 4, .cache_blocks = 9, .table_width = 3};

// A prompt of three tokens and a sequence that decodes.
Batch batch() {
  Batch batch;
  batch.table_width = 2;
  batch.append({5, 6, 7}, 0, {1}, 4);
  batch.append({8}, 5, {2, 3}, 4);
  batch.logit_rows = {2, 3};
  return batch;
}
SymbolValues sizes_of(const Batch& batch) {
  SymbolValues sizes = batch.sizes(kMaxima.cache_blocks);
  sizes.table_width = kMaxima.table_width;
  return sizes;
}

TEST(StepWire, RoundTrip) {
  const Batch sent = batch();
  const StepMessage step = decode_step(encode_step(sent, sizes_of(sent), true), kMaxima);
  EXPECT_TRUE(step.is_decode);
  EXPECT_EQ(step.sizes.tokens, sent.sizes(9).tokens);
  EXPECT_EQ(step.sizes.sequences, sent.sizes(9).sequences);
  EXPECT_EQ(step.sizes.logit_rows, sent.sizes(9).logit_rows);
  EXPECT_EQ(step.sizes.cache_blocks, 9);
  EXPECT_EQ(step.sizes.table_width, 3);
  EXPECT_EQ(step.batch.token_ids, sent.token_ids);
  EXPECT_EQ(step.batch.token_slots, sent.token_slots);
  EXPECT_EQ(step.batch.positions, sent.positions);
  EXPECT_EQ(step.batch.slots, sent.slots);
  EXPECT_EQ(step.batch.query_start, sent.query_start);
  EXPECT_EQ(step.batch.query_length, sent.query_length);
  EXPECT_EQ(step.batch.kv_length, sent.kv_length);
  EXPECT_EQ(step.batch.block_table, sent.block_table);
  EXPECT_EQ(step.batch.table_width, sent.table_width);
  EXPECT_EQ(step.batch.logit_rows, sent.logit_rows);
}

TEST(StepWire, CutsAndSizesBeyondTheEngineAreRefused) {
  const Batch sent = batch();
  const std::string bytes = encode_step(sent, sizes_of(sent), false);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(decode_step(bytes.substr(0, size), kMaxima), Error) << size;
  EXPECT_THROW(decode_step(bytes + '\0', kMaxima), Error);
  for (auto member : {&SymbolValues::tokens, &SymbolValues::sequences, &SymbolValues::logit_rows,
                      &SymbolValues::cache_blocks, &SymbolValues::table_width}) {
    SymbolValues small = kMaxima;
    small.*member = 1;
    EXPECT_THROW(decode_step(bytes, small), Error);
    SymbolValues wrong = sizes_of(sent);
    wrong.*member += 1;  // not what the lists hold
    EXPECT_THROW(decode_step(encode_step(sent, wrong, false), kMaxima), Error);
  }
}

// An image of one call between ranks.
EngineImage image_of(int64_t rank, int64_t tp_size, int64_t pp_size, int64_t width = 8) {
  EngineImage image;
  image.rank = rank;
  image.config.tp_size = tp_size;
  image.config.pp_size = pp_size;
  Plan plan{.max_tokens = 16};
  plan.program.tensors.resize(1);
  plan.program.tensors[0].shape = {Dim::constant(width)};
  plan.program.calls.push_back({.op = Op::kAllReduce, .outputs = {0}});
  image.plans.push_back(plan);
  return image;
}

struct Agreement {
  std::vector<int64_t> blocks;
  std::vector<std::string> errors;
};

Agreement agree(const std::vector<EngineImage>& images, const std::vector<SymbolValues>& maxima) {
  const int port = free_port();
  Agreement found{std::vector<int64_t>(images.size()), std::vector<std::string>(images.size())};
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < images.size(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ProcessGroup group({.rank = static_cast<int64_t>(rank),
                            .size = std::ssize(images),
                            .host = "127.0.0.1",
                            .port = port});
        found.blocks[rank] = agree_on_maxima(group, images[rank], maxima[rank]).cache_blocks;
        group.finish();
      } catch (const Error& error) {
        found.errors[rank] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return found;
}

TEST(AgreeOnMaxima, TheSmallestCacheCounts) {
  SymbolValues small = kMaxima;
  small.cache_blocks = 5;
  const Agreement found = agree({image_of(0, 2, 1), image_of(1, 2, 1)}, {kMaxima, small});
  EXPECT_THAT(found.errors, Each(""));
  EXPECT_THAT(found.blocks, Each(5));
}

TEST(AgreeOnMaxima, StagesMayDifferRanksOfOneMayNot) {
  // The first process is of the last stage.
  EXPECT_THAT(agree({image_of(1, 1, 2, 4), image_of(0, 1, 2, 8)}, {kMaxima, kMaxima}).errors,
              Each(""));
  EXPECT_THAT(agree({image_of(0, 2, 1, 4), image_of(1, 2, 1, 8)}, {kMaxima, kMaxima}).errors,
              Each(HasSubstr("rank 1 has other calls between ranks")));
}

TEST(AgreeOnMaxima, OtherOptionsAreNamed) {
  SymbolValues other = kMaxima;
  other.sequences = 2;
  EXPECT_THAT(agree({image_of(0, 2, 1), image_of(1, 2, 1)}, {kMaxima, other}).errors,
              Each("max_batch_size: rank 0 has 4, rank 1 has 2"));
}

}  // namespace
}  // namespace octavo
