// A set of byte strings, searched for its longest member at a position.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace octavo {

class TokenTrie {
 public:
  struct Match {
    int32_t id;
    size_t begin, end;
  };

  TokenTrie() { nodes_.emplace_back(); }
  // False when `text` is already a member. `text` is not empty.
  bool add(std::string_view text, int32_t id);
  // The leftmost match at `from` or later, and of those at its position the longest.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Edge {
    unsigned char byte;
    uint32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    std::optional<int32_t> id;
  };
  std::optional<uint32_t> child(uint32_t node, unsigned char byte) const;

  std::vector<Node> nodes_;
  std::array<bool, 256> starts_{};  // first bytes of members, so that most positions cost one look
};

}  // namespace octavo
