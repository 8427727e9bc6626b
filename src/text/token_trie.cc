// A trie with short edge lists.
// SPDX-License-Identifier: Apache-2.0
#include "text/token_trie.h"

namespace octavo {

std::optional<uint32_t> TokenTrie::child(uint32_t node, unsigned char byte) const {
  for (const Edge& edge : nodes_[node].edges) {
    if (edge.byte == byte) return edge.node;
  }
  return std::nullopt;
}

bool TokenTrie::add(std::string_view text, int32_t id) {
  uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    auto next = child(node, byte);
    if (!next) {
      next = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      nodes_[node].edges.push_back({byte, *next});
    }
    node = *next;
  }
  if (nodes_[node].id) return false;
  nodes_[node].id = id;
  starts_[static_cast<unsigned char>(text[0])] = true;
  return true;
}

std::optional<TokenTrie::Match> TokenTrie::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    std::optional<uint32_t> node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      node = child(*node, static_cast<unsigned char>(text[at]));
      if (!node) break;
      if (const auto id = nodes_[*node].id) longest = Match{*id, begin, at + 1};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace octavo
