// Reading added tokens and cutting a text at them.
// SPDX-License-Identifier: Apache-2.0
#include "text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "text/unicode.h"

namespace octavo {
namespace {

// Bounds the time of a search, which may look this far at each position.
constexpr size_t kMaxContentBytes = 1024;

bool ends_with_word(std::string_view text) {
  return !text.empty() &&
         is_word(decode_code_point(text, previous_boundary(text, text.size())).value);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(decode_code_point(text, 0).value);
}

size_t space_begin_before(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t at = previous_boundary(text, end);
    if (!is_white_space(decode_code_point(text, at).value)) break;
    end = at;
  }
  return end;
}

size_t space_end_behind(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const CodePoint c = decode_code_point(text, begin);
    if (!is_white_space(c.value)) break;
    begin += c.bytes;
  }
  return begin;
}

AddedToken read_token(const JsonField& field) {
  const JsonObject object = field.as_object();
  AddedToken token;
  token.content = object.required_string("content");
  if (token.content.empty() || token.content.size() > kMaxContentBytes) {
    throw object.required("content").mismatch(fmt::format("1 to {} bytes", kMaxContentBytes));
  }
  token.id = static_cast<int32_t>(object.required_int("id", {0, kMaxTokenId}));
  token.single_word = object.required_bool("single_word");
  token.lstrip = object.required_bool("lstrip");
  token.rstrip = object.required_bool("rstrip");
  token.normalized = object.required_bool("normalized");
  token.special = object.required_bool("special");
  return token;
}

void check_against(const Vocabulary& vocabulary, const AddedToken& token, const JsonField& field) {
  const auto known_id = vocabulary.find(token.content);
  const std::string* owner = vocabulary.token(token.id);
  if ((known_id && *known_id != token.id) || (owner != nullptr && *owner != token.content)) {
    throw bad_file(field.file(), field.path(),
                   fmt::format("expected the same id as in the vocabulary, got {} for \"{}\"",
                               token.id, printable(token.content)));
  }
}

}  // namespace

void AddedTokens::add(AddedToken token, const JsonField& field, const Normalizer* normalizer) {
  std::string searched = token.content;
  if (token.normalized && normalizer != nullptr) normalizer->apply(searched);
  const bool is_new = !searched.empty() && !tokens_.contains(token.id) &&
                      !ids_.contains(token.content) &&
                      (token.normalized ? normalized_ : raw_).add(searched, token.id);
  if (!is_new) {
    throw bad_file(field.file(), field.path(),
                   fmt::format("expected a token and an id that occur once, got \"{}\" with id {}",
                               printable(token.content), token.id));
  }
  if (token.special) special_texts_.insert(token.content);
  ids_[token.content] = token.id;
  decoded_texts_[token.id] = std::move(searched);
  id_limit_ = std::max(id_limit_, int64_t{token.id} + 1);
  tokens_[token.id] = std::move(token);
}

AddedTokens AddedTokens::read(const std::vector<JsonField>& fields, const Vocabulary& vocabulary,
                              const Normalizer* normalizer) {
  AddedTokens added;
  for (const JsonField& field : fields) {
    AddedToken token = read_token(field);
    check_against(vocabulary, token, field);
    added.add(std::move(token), field, normalizer);
  }
  return added;
}

std::vector<Segment> AddedTokens::split(std::string_view text, const TokenTrie& trie,
                                        bool allow_special) const {
  std::vector<Segment> segments;
  size_t done = 0;
  for (auto match = trie.find(text, 0); match; match = trie.find(text, match->end)) {
    const AddedToken& token = tokens_.at(match->id);
    if (token.special && !allow_special) continue;
    if (token.single_word && (ends_with_word(text.substr(0, match->begin)) ||
                              starts_with_word(text.substr(match->end)))) {
      continue;
    }
    size_t begin = match->begin, end = match->end;
    if (token.lstrip) begin = std::max(space_begin_before(text, begin), done);
    if (token.rstrip) end = space_end_behind(text, end);
    if (done < begin) segments.push_back({text.substr(done, begin - done), std::nullopt});
    segments.push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done), std::nullopt});
  return segments;
}

std::vector<Segment> AddedTokens::split_raw(std::string_view text, bool allow_special) const {
  return split(text, raw_, allow_special);
}

std::vector<Segment> AddedTokens::split_normalized(std::string_view text,
                                                   bool allow_special) const {
  return split(text, normalized_, allow_special);
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto entry = tokens_.find(id);
  return entry == tokens_.end() ? nullptr : &entry->second;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto entry = ids_.find(std::string(content));
  return entry == ids_.end() ? nullptr : find(entry->second);
}

const std::string* AddedTokens::decoded_text(int32_t id) const {
  const auto entry = decoded_texts_.find(id);
  return entry == decoded_texts_.end() ? nullptr : &entry->second;
}

}  // namespace octavo
