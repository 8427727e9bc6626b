// Tokens and their ids, both ways.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/json_object.h"

namespace octavo {

// Bounds the memory of a table indexed by id; the largest vocabularies in use have about 300,000.
inline constexpr int64_t kMaxTokenId = (int64_t{1} << 22) - 1;

class Vocabulary {
 public:
  // An object of token → id. Error(kBadFile) for a negative, too large or repeated id.
  static Vocabulary read(const JsonObject& object);

  // False when the token or the id is taken.
  bool add(std::string_view token, int32_t id);

  std::optional<int32_t> find(std::string_view token) const;
  const std::string* token(int32_t id) const;  // null where no token has this id
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }  // largest id + 1

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  // by id; they point to the keys of ids_
};

}  // namespace octavo
