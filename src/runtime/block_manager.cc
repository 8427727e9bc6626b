// Reference counts, the index of published prefixes and the list of cached blocks.
// SPDX-License-Identifier: Apache-2.0
#include "runtime/block_manager.h"

#include <xxhash.h>

#include <algorithm>

#include "core/error.h"

namespace octavo {
namespace {

uint64_t xxh3(uint64_t salt, uint64_t parent, std::span<const int32_t> tokens) {
  const uint64_t seed = (salt * 0x9E3779B97F4A7C15u) ^ parent;
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), seed);
}

[[noreturn]] void broken(const std::string& what) {
  throw Error(ErrorCategory::kInternal, "block manager: " + what);
}

}  // namespace

BlockManager::BlockManager(const Options& options) : options_(options) {
  if (options_.num_blocks < 1) {
    throw Error(ErrorCategory::kUsage, "", "num_blocks",
                fmt::format("expected at least 1, got {}", options_.num_blocks));
  }
  if (options_.tokens_per_block < 1) {
    throw Error(ErrorCategory::kUsage, "", "tokens_per_block",
                fmt::format("expected at least 1, got {}", options_.tokens_per_block));
  }
  if (options_.hash == nullptr) options_.hash = xxh3;
  blocks_.resize(static_cast<size_t>(options_.num_blocks));
  free_.reserve(blocks_.size());
  for (int32_t i = options_.num_blocks - 1; i >= 0; --i) free_.push_back(i);
}

BlockManager::Block& BlockManager::at(int32_t block) {
  if (block < 0 || block >= num_blocks()) {
    broken(fmt::format("foreign block {}, the pool has {}", block, num_blocks()));
  }
  return blocks_[static_cast<size_t>(block)];
}

void BlockManager::note(Block& block, int64_t owner, const char* action) {
  block.history[block.num_events++ % block.history.size()] = {owner, action};
}

std::string BlockManager::history(const Block& block) const {
  const uint32_t ring = static_cast<uint32_t>(block.history.size());
  std::string text;
  for (uint32_t i = block.num_events > ring ? block.num_events - ring : 0; i < block.num_events;
       ++i) {
    const Event& event = block.history[i % ring];
    text += fmt::format("{}{} by request {}", text.empty() ? "" : ", ", event.action, event.owner);
  }
  return text;
}

int32_t BlockManager::find(uint64_t salt, ContentId parent, std::span<const int32_t> tokens) const {
  const auto [first, last] = index_.equal_range(options_.hash(salt, parent, tokens));
  for (auto it = first; it != last; ++it) {
    const Block& block = blocks_[static_cast<size_t>(it->second)];
    if (block.salt == salt && block.parent == parent && std::ranges::equal(block.tokens, tokens)) {
      return it->second;
    }
  }
  return -1;
}

BlockManager::Prefix BlockManager::find_prefix(uint64_t salt,
                                               std::span<const int32_t> tokens) const {
  Prefix prefix;
  if (!options_.enable_reuse || index_.empty()) return prefix;
  const size_t size = static_cast<size_t>(options_.tokens_per_block);
  ContentId parent = kNoContent;
  for (size_t start = 0; start + size <= tokens.size(); start += size) {
    const int32_t found = find(salt, parent, tokens.subspan(start, size));
    if (found < 0) break;
    const Block& block = blocks_[static_cast<size_t>(found)];
    prefix.blocks.push_back(found);
    if (block.references > 0) ++prefix.num_used;
    parent = block.content;
  }
  return prefix;
}

void BlockManager::cache(int32_t id) {
  Block& block = at(id);
  block.older = newest_;
  block.newer = -1;
  (newest_ >= 0 ? at(newest_).newer : oldest_) = id;
  newest_ = id;
  ++num_cached_;
}

void BlockManager::uncache(int32_t id) {
  Block& block = at(id);
  (block.older >= 0 ? at(block.older).newer : oldest_) = block.newer;
  (block.newer >= 0 ? at(block.newer).older : newest_) = block.older;
  block.older = block.newer = -1;
  --num_cached_;
}

void BlockManager::share(std::span<const int32_t> blocks, int64_t owner) {
  for (const int32_t id : blocks) {
    Block& block = at(id);
    if (block.content == kNoContent) broken(fmt::format("block {} shared unpublished", id));
    if (block.references++ == 0) uncache(id);
    note(block, owner, "shared");
    ++counters_.reused;
  }
}

int32_t BlockManager::allocate(int64_t owner) {
  int32_t id = -1;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
  } else if (oldest_ >= 0) {
    id = oldest_;
    uncache(id);
    unindex(id);
    ++counters_.evicted;
  } else {
    broken("allocation from a pool without free blocks");
  }
  Block& block = at(id);
  block.references = 1;
  note(block, owner, "allocated");
  ++counters_.allocated;
  return id;
}

void BlockManager::release(std::span<const int32_t> blocks, int64_t owner) {
  // Last block first: a prefix is useful without its continuation, never the reverse, so the
  // continuation must be the older one when a block is evicted.
  for (size_t i = blocks.size(); i-- > 0;) {
    Block& block = at(blocks[i]);
    if (block.references < 1) {
      broken(fmt::format("request {} releases block {}, which nobody holds: {}", owner, blocks[i],
                         history(block)));
    }
    note(block, owner, "released");
    if (--block.references > 0) continue;
    if (block.content != kNoContent) {
      cache(blocks[i]);
    } else {
      free_.push_back(blocks[i]);
    }
  }
}

BlockManager::ContentId BlockManager::publish(int32_t id, uint64_t salt, ContentId parent,
                                              std::span<const int32_t> tokens) {
  if (!options_.enable_reuse) return kNoContent;
  Block& block = at(id);
  if (block.references < 1 || block.content != kNoContent ||
      tokens.size() != static_cast<size_t>(options_.tokens_per_block)) {
    broken(fmt::format("block {} cannot be published with {} tokens: {}", id, tokens.size(),
                       history(block)));
  }
  if (const int32_t same = find(salt, parent, tokens); same >= 0) return at(same).content;
  block.tokens.assign(tokens.begin(), tokens.end());
  block.hash = options_.hash(salt, parent, tokens);
  index_.emplace(block.hash, id);
  block.salt = salt;
  block.parent = parent;
  block.content = next_content_++;
  ++counters_.published;
  return block.content;
}

void BlockManager::unindex(int32_t id) {
  Block& block = at(id);
  const auto [first, last] = index_.equal_range(block.hash);
  index_.erase(std::find_if(first, last, [id](const auto& entry) { return entry.second == id; }));
  block.content = kNoContent;
  block.tokens.clear();
}

void BlockManager::forget(int32_t id) {
  if (at(id).content == kNoContent) return;
  const bool cached = at(id).references == 0;
  if (cached) uncache(id);
  unindex(id);
  if (cached) free_.push_back(id);
}

BlockManager::ContentId BlockManager::content(int32_t block) const {
  return blocks_.at(static_cast<size_t>(block)).content;
}

int32_t BlockManager::references(int32_t block) const {
  return blocks_.at(static_cast<size_t>(block)).references;
}

void BlockManager::check_invariants() const {
  int64_t used = 0, cached = 0, published = 0;
  for (const Block& block : blocks_) {
    if (block.references < 0) broken("negative reference count");
    if (block.references > 0) ++used;
    if (block.content != kNoContent) ++published;
    if (block.content != kNoContent && block.references == 0) ++cached;
  }
  int64_t listed = 0;
  for (int32_t id = oldest_; id >= 0; id = blocks_[static_cast<size_t>(id)].newer) {
    const Block& block = blocks_[static_cast<size_t>(id)];
    if (block.references != 0 || block.content == kNoContent) broken("a cached block is in use");
    if (++listed > num_blocks()) break;
  }
  for (const int32_t id : free_) {
    const Block& block = blocks_[static_cast<size_t>(id)];
    if (block.references != 0 || block.content != kNoContent) broken("a free block is in use");
  }
  if (listed != cached || cached != num_cached_) {
    broken(fmt::format("{} cached blocks, {} listed, {} counted", cached, listed, num_cached_));
  }
  if (used + cached + num_free() != num_blocks()) {
    broken(fmt::format("{} used + {} cached + {} free blocks of {}", used, cached, num_free(),
                       num_blocks()));
  }
  if (static_cast<int64_t>(index_.size()) != published) {
    broken(fmt::format("{} published blocks, {} in the index", published, index_.size()));
  }
}

}  // namespace octavo
