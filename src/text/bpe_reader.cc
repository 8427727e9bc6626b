// Reads and checks the "model" of tokenizer.json.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "text/bpe.h"

namespace octavo {
namespace {

struct MergePair {
  std::string left, right;
};

// "a b", or ["a", "b"], which allows tokens with spaces.
MergePair read_merge(const JsonField& field) {
  if (field.is_array()) {
    const std::vector<std::string> parts = field.as_strings();
    if (parts.size() != 2) throw field.mismatch("two tokens");
    return {parts[0], parts[1]};
  }
  const std::string& text = field.as_string();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    throw field.mismatch("two tokens with one space between them");
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

int32_t find_token(const Vocabulary& vocabulary, const std::string& token, const JsonField& merge) {
  const auto id = vocabulary.find(token);
  if (!id) {
    throw merge.mismatch(
        fmt::format("a merge of tokens into a token, and \"{}\" is none", printable(token)));
  }
  return *id;
}

MergeTable read_merges(const JsonObject& object, const Vocabulary& vocabulary,
                       const std::string& prefix) {
  const std::vector<JsonField> fields = object.required_array("merges");
  MergeTable merges(fields.size());
  uint32_t rank = 0;
  for (const JsonField& field : fields) {
    if (field.is_string() && field.as_string().starts_with("#version")) continue;
    const MergePair pair = read_merge(field);
    const int32_t left = find_token(vocabulary, pair.left, field);
    const int32_t right = find_token(vocabulary, pair.right, field);
    if (pair.right.size() < prefix.size()) {
      throw field.mismatch(fmt::format("a right token with the prefix \"{}\"", printable(prefix)));
    }
    const std::string result = pair.left + pair.right.substr(prefix.size());
    merges.set(left, right, {rank++, find_token(vocabulary, result, field)});
  }
  return merges;
}

BpeOptions read_options(const JsonObject& object, const Vocabulary& vocabulary) {
  BpeOptions options;
  if (object.optional_float("dropout").value_or(0) != 0) {
    throw object.required("dropout").not_supported("0");
  }
  if (const auto unknown = object.optional("unk_token")) {
    options.unknown_id = vocabulary.find(unknown->as_string());
    if (!options.unknown_id) throw unknown->mismatch("a token of the vocabulary");
  }
  options.continuing_prefix = object.optional_string("continuing_subword_prefix").value_or("");
  options.end_suffix = object.optional_string("end_of_word_suffix").value_or("");
  options.fuse_unknown = object.optional_bool("fuse_unk").value_or(false);
  options.byte_fallback = object.optional_bool("byte_fallback").value_or(false);
  options.ignore_merges = object.optional_bool("ignore_merges").value_or(false);
  for (int byte = 0; options.byte_fallback && byte < 256; ++byte) {
    const std::string token = byte_token(static_cast<uint8_t>(byte));
    if (!vocabulary.find(token)) {
      throw bad_file(
          object.file(), object.path_of("vocab"),
          fmt::format("expected all byte tokens, as byte_fallback is true, got no {}", token));
    }
  }
  return options;
}

}  // namespace

BpeModel BpeModel::read(const JsonObject& object) {
  const auto type = object.optional("type");  // old files have none
  if (type && type->as_string() != "BPE") throw type->not_supported("BPE");
  Vocabulary vocabulary = Vocabulary::read(object.required_object("vocab"));
  BpeOptions options = read_options(object, vocabulary);
  MergeTable merges = read_merges(object, vocabulary, options.continuing_prefix);
  return BpeModel(std::move(vocabulary), std::move(merges), std::move(options));
}

}  // namespace octavo
