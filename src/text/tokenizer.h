// Text to token ids and back, as a model's tokenizer.json says.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: the ids of the `tokenizers` package, for every text. Bytes that are not UTF-8 become U+FFFD
// first. What the file asks for and Octavo does not do is refused by name, never approximated.
// "truncation" and "padding" of the file are not applied: a text is never cut.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octavo {

class Decoder;

// What tokenizer_config.json adds.
struct TokenizerInfo {
  std::optional<std::string> bos_token, eos_token, pad_token, unk_token;
  std::optional<int64_t> model_max_length;
  // Recorded only: decode() keeps every character, as the cleaning would lose spaces.
  bool clean_up_tokenization_spaces = false;
};

// Immutable; copies share their tables, and threads may share a copy.
class Tokenizer {
 public:
  // Reads tokenizer.json and, where present, tokenizer_config.json.
  static Tokenizer load(const std::filesystem::path& model_dir);
  // `file` names the document in errors.
  static Tokenizer from_json(const nlohmann::json& tokenizer_json, std::string_view file);

  // Special tokens that stand in the text become their ids. `add_special_tokens` adds what the
  // file's post-processor adds, for example BOS.
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  // Special tokens that stand in the text are plain text: for text from users.
  std::vector<int32_t> encode_plain(std::string_view text, bool add_special_tokens = true) const;
  // Error(kUsage) for an id outside [0, vocab_size()); ids in a gap of the vocabulary give no text.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = true) const;

  int64_t vocab_size() const;  // largest id + 1
  // Error(kBadFile) when a model with this many embedding rows lacks a row for some token.
  void check_fits(int64_t embedding_rows) const;

  std::optional<int32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(int32_t id) const;
  bool is_special(int32_t id) const;
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;
  const TokenizerInfo& info() const { return info_; }

  // For Detokenizer: the token before the decoder's steps; nothing where it is left out.
  std::optional<std::string_view> decoded_token(int32_t id, bool skip_special_tokens) const;
  const Decoder& decoder() const;

 private:
  struct Parts;
  explicit Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::vector<int32_t> encode_with(std::string_view text, bool add_special_tokens,
                                   bool allow_special) const;
  std::optional<int32_t> id_of(const std::optional<std::string>& token) const;

  std::shared_ptr<const Parts> parts_;
  TokenizerInfo info_;
};

}  // namespace octavo
