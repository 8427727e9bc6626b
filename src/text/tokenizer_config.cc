// Reads and checks tokenizer_config.json.
// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer_config.h"

#include <fmt/format.h>

#include <string>

namespace octavo {
namespace {

// A string, or an object with the string under "content".
const std::string read_content(const JsonField& field) {
  return field.is_object() ? field.as_object().required_string("content") : field.as_string();
}

std::optional<std::string> read_token(const JsonObject& object, std::string_view key,
                                      const Tokenizer& tokenizer) {
  const auto field = object.optional(key);
  if (!field) return std::nullopt;
  std::string token = read_content(*field);
  if (!tokenizer.token_to_id(token)) throw field->mismatch("a token of tokenizer.json");
  return token;
}

// Libraries that read this table would add the tokens, and then encode differently.
void check_added_tokens(const JsonObject& object, const Tokenizer& tokenizer) {
  const auto table = object.optional_object("added_tokens_decoder");
  if (!table) return;
  for (const std::string& id : table->keys()) {
    const JsonField field = table->required(id);
    const auto known = tokenizer.token_to_id(read_content(field));
    if (!known || std::to_string(*known) != id) {
      throw unsupported(field.file(), field.path(),
                        "a token that tokenizer.json lacks is not supported");
    }
  }
}

}  // namespace

TokenizerInfo read_tokenizer_config(const JsonObject& object, const Tokenizer& tokenizer) {
  check_added_tokens(object, tokenizer);
  TokenizerInfo info;
  info.bos_token = read_token(object, "bos_token", tokenizer);
  info.eos_token = read_token(object, "eos_token", tokenizer);
  info.pad_token = read_token(object, "pad_token", tokenizer);
  info.unk_token = read_token(object, "unk_token", tokenizer);
  // "No limit" is written as a float of about 1e30.
  const auto length = object.optional("model_max_length");
  if (length && length->is_int()) info.model_max_length = length->as_int();
  info.clean_up_tokenization_spaces =
      object.optional_bool("clean_up_tokenization_spaces").value_or(false);
  return info;
}

}  // namespace octavo
