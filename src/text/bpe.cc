// Characters to symbols, then merges by rank with a heap over a linked list.
// SPDX-License-Identifier: Apache-2.0
#include "text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "core/error.h"
#include "text/unicode.h"

namespace octavo {
namespace {

void push(BpeModel::Scratch& scratch, int32_t id) { scratch.symbols.push_back({id, 0, 0}); }

// Calls visit(candidate) where the symbol at `left` can merge with its successor.
template <typename Visit>
void visit_pair(const MergeTable& merges, const std::vector<BpeModel::Scratch::Symbol>& symbols,
                uint32_t left, const Visit& visit) {
  const uint32_t right = symbols[left].next;
  if (right == BpeModel::Scratch::kNone) return;
  if (const Merge* merge = merges.find(symbols[left].id, symbols[right].id)) {
    visit(BpeModel::Scratch::Candidate{merge->rank, left, merge->result});
  }
}

}  // namespace

std::string byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

BpeModel::BpeModel(Vocabulary vocabulary, MergeTable merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), options_(std::move(options)) {
  if (!options_.byte_fallback) return;
  for (int byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary_.find(byte_token(static_cast<uint8_t>(byte)));
    OCTAVO_CHECK(id.has_value());  // `read` refuses a vocabulary without it
    byte_ids_.push_back(*id);
  }
}

void BpeModel::add_characters(std::string_view word, Scratch& scratch) const {
  bool unknown_before = false;
  for (size_t at = 0; at < word.size();) {
    const size_t bytes = decode_code_point(word, at).bytes;
    std::string_view character = word.substr(at, bytes);
    const bool prefixed = at > 0 && !options_.continuing_prefix.empty();
    const bool suffixed = at + bytes == word.size() && !options_.end_suffix.empty();
    if (prefixed || suffixed) {
      scratch.text = prefixed ? options_.continuing_prefix : "";
      scratch.text += character;
      if (suffixed) scratch.text += options_.end_suffix;
      character = scratch.text;
    }
    at += bytes;
    if (const auto id = vocabulary_.find(character)) {
      push(scratch, *id);
      unknown_before = false;
    } else if (options_.byte_fallback) {
      for (const char byte : character) push(scratch, byte_ids_[static_cast<unsigned char>(byte)]);
    } else if (options_.unknown_id) {  // without an unknown token the character is dropped
      if (!unknown_before || !options_.fuse_unknown) push(scratch, *options_.unknown_id);
      unknown_before = true;
    }
  }
}

void BpeModel::merge(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  const auto count = static_cast<uint32_t>(symbols.size());
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i].previous = i == 0 ? Scratch::kNone : i - 1;
    symbols[i].next = i + 1 == count ? Scratch::kNone : i + 1;
  }
  heap.clear();
  for (uint32_t i = 0; i < count; ++i) {
    visit_pair(merges_, symbols, i, [&](const auto& candidate) { heap.push_back(candidate); });
  }
  std::ranges::make_heap(heap, std::greater<>());
  const auto note = [&](uint32_t left) {
    visit_pair(merges_, symbols, left, [&](const auto& candidate) {
      heap.push_back(candidate);
      std::ranges::push_heap(heap, std::greater<>());
    });
  };
  constexpr int32_t kGone = -1;
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater<>());
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    Scratch::Symbol& left = symbols[best.left];
    if (left.id == kGone || left.next == Scratch::kNone) continue;
    Scratch::Symbol& right = symbols[left.next];
    // As in the reference, what counts is the result: another pair that gives the same token may
    // have come to stand here since, and merges at this rank.
    const Merge* current = merges_.find(left.id, right.id);
    if (current == nullptr || current->result != best.result) continue;
    left.id = best.result;
    right.id = kGone;
    left.next = right.next;
    if (left.next != Scratch::kNone) symbols[left.next].previous = best.left;
    if (left.previous != Scratch::kNone) note(left.previous);
    note(best.left);
  }
  std::erase_if(symbols, [](const Scratch::Symbol& symbol) { return symbol.id == kGone; });
}

void BpeModel::encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const auto id = vocabulary_.find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  if (word.size() >= Scratch::kNone) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("text: expected words of less than {} bytes, got {}", Scratch::kNone,
                            word.size()));
  }
  scratch.symbols.clear();
  add_characters(word, scratch);
  if (scratch.symbols.size() > 1) merge(scratch);
  for (const Scratch::Symbol& symbol : scratch.symbols) ids.push_back(symbol.id);
}

}  // namespace octavo
