// Added and special tokens: what they are, and where they stand in a text.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/json_object.h"
#include "text/normalizer.h"
#include "text/token_trie.h"
#include "text/vocabulary.h"

namespace octavo {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only between word boundaries
  bool lstrip = false;       // swallows white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // searched in the normalized text, not in the raw one
  bool special = false;      // left out by decode(skip_special_tokens)
};

// A token, or the text between two.
struct Segment {
  std::string_view text;
  std::optional<int32_t> id;
};

class AddedTokens {
 public:
  // `normalizer` may be null. Error(kBadFile) for empty or repeated contents and for ids that
  // contradict the vocabulary.
  static AddedTokens read(const std::vector<JsonField>& fields, const Vocabulary& vocabulary,
                          const Normalizer* normalizer);

  // The two passes of encoding. Without `allow_special`, special tokens are plain text.
  std::vector<Segment> split_raw(std::string_view text, bool allow_special) const;
  std::vector<Segment> split_normalized(std::string_view text, bool allow_special) const;

  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;
  // What decoding makes of the token: its content as the normalizer leaves it.
  const std::string* decoded_text(int32_t id) const;
  bool is_special_text(const std::string& text) const { return special_texts_.contains(text); }
  int64_t id_limit() const { return id_limit_; }  // largest id + 1

 private:
  std::vector<Segment> split(std::string_view text, const TokenTrie& trie,
                             bool allow_special) const;
  void add(AddedToken token, const JsonField& field, const Normalizer* normalizer);

  std::unordered_map<int32_t, AddedToken> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<int32_t, std::string> decoded_texts_;
  std::unordered_set<std::string> special_texts_;
  TokenTrie raw_, normalized_;
  int64_t id_limit_ = 0;
};

}  // namespace octavo
