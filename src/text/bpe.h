// Byte-pair encoding of one word.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_object.h"
#include "text/merge_table.h"
#include "text/vocabulary.h"

namespace octavo {

struct BpeOptions {
  std::optional<int32_t> unknown_id;
  std::string continuing_prefix;  // before every character of a word but the first
  std::string end_suffix;         // behind the last
  bool fuse_unknown = false;      // neighbouring unknown characters become one token
  bool byte_fallback = false;     // an unknown character becomes its bytes <0x00> … <0xFF>
  bool ignore_merges = false;     // a word that is a token is that token
};

class BpeModel {
 public:
  // Memory that `encode` reuses from word to word.
  struct Scratch;

  // The "model" of tokenizer.json. Error(kUnsupported) for other model types and for dropout.
  static BpeModel read(const JsonObject& object);

  BpeModel(Vocabulary vocabulary, MergeTable merges, BpeOptions options);

  // Appends the ids of `word`. Time n log n in its length.
  void encode(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const BpeOptions& options() const { return options_; }

 private:
  void add_characters(std::string_view word, Scratch& scratch) const;
  void merge(Scratch& scratch) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::vector<int32_t> byte_ids_;  // of <0x00> … <0xFF>; empty without byte fallback
};

struct BpeModel::Scratch {
  struct Symbol {
    int32_t id;
    uint32_t previous, next;  // neighbours in the list; kNone at its ends
  };
  // A merge that could be made when it was noted; it is checked again before it is made.
  struct Candidate {
    uint32_t rank;
    uint32_t left;
    int32_t result;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  static constexpr uint32_t kNone = ~uint32_t{0};

  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;  // the lowest rank first, then the leftmost
  std::string text;             // a character with its prefix and suffix
};

// The text of the byte-fallback token of `byte`: <0x0A>.
std::string byte_token(uint8_t byte);

}  // namespace octavo
