// Bookkeeping of the paged KV pool: who holds which block, and which blocks hold a known prefix.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace octavo {

// A block is free, cached (nobody holds it, its content can be found again), or used. Full blocks
// of known tokens can be published: a later prompt that starts with the same tokens shares them.
// Nothing is ever copied, so only full blocks are shared. Non-goal: the memory itself.
class BlockManager {
 public:
  using Hash = uint64_t (*)(uint64_t salt, uint64_t parent, std::span<const int32_t> tokens);

  struct Options {
    int32_t num_blocks = 0;
    int32_t tokens_per_block = 32;
    bool enable_reuse = true;
    Hash hash = nullptr;  // tests force collisions
  };

  struct Counters {
    int64_t allocated = 0;
    int64_t reused = 0;     // references won by a prefix match
    int64_t published = 0;  // blocks that became findable
    int64_t evicted = 0;    // cached blocks taken for something else
  };

  struct Prefix {
    std::vector<int32_t> blocks;
    int64_t num_used = 0;  // of them, held by somebody already: sharing these costs no capacity
  };

  // Identity of published content: (salt, the identity of the block before, tokens), compared in
  // full and never reused, so that equal hashes cannot exchange content.
  using ContentId = uint64_t;
  static constexpr ContentId kNoContent = 0;

  explicit BlockManager(const Options& options);

  // The longest chain of full blocks that starts `tokens`. Takes no reference.
  Prefix find_prefix(uint64_t salt, std::span<const int32_t> tokens) const;
  // `owner` is a request id, kept for the report of a bug.
  void share(std::span<const int32_t> blocks, int64_t owner);
  int32_t allocate(int64_t owner);  // requires num_available() > 0
  void release(std::span<const int32_t> blocks, int64_t owner);
  // Makes a full block findable behind `parent`; returns the content's identity, which is that of
  // another block where the same content is published already.
  ContentId publish(int32_t block, uint64_t salt, ContentId parent,
                    std::span<const int32_t> tokens);
  // Takes suspect content out of the index; those who hold the block keep it.
  void forget(int32_t block);
  ContentId content(int32_t block) const;

  int32_t num_blocks() const { return options_.num_blocks; }
  int32_t tokens_per_block() const { return options_.tokens_per_block; }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_cached() const { return num_cached_; }
  int64_t num_used() const { return num_blocks() - num_free() - num_cached(); }
  int64_t num_available() const { return num_free() + num_cached(); }
  int32_t references(int32_t block) const;
  const Counters& counters() const { return counters_; }

  // Throws Error(kInternal) where the books do not balance.
  void check_invariants() const;

 private:
  struct Event {
    int64_t owner = -1;
    const char* action = "";
  };
  struct Block {
    int32_t references = 0;
    int32_t older = -1, newer = -1;  // neighbours in the list of cached blocks
    ContentId content = kNoContent;
    ContentId parent = kNoContent;
    uint64_t salt = 0;
    uint64_t hash = 0;
    std::vector<int32_t> tokens;
    std::array<Event, 4> history;  // ring, for the report of a bug
    uint32_t num_events = 0;
  };

  int32_t find(uint64_t salt, ContentId parent, std::span<const int32_t> tokens) const;
  Block& at(int32_t block);
  void note(Block& block, int64_t owner, const char* action);
  std::string history(const Block& block) const;
  void cache(int32_t block);
  void uncache(int32_t block);
  void unindex(int32_t block);

  Options options_;
  std::vector<Block> blocks_;
  std::vector<int32_t> free_;
  int32_t oldest_ = -1, newest_ = -1;  // cached blocks, least recently used first
  int64_t num_cached_ = 0;
  ContentId next_content_ = 1;
  std::unordered_multimap<uint64_t, int32_t> index_;  // hash → block
  Counters counters_;
};

}  // namespace octavo
