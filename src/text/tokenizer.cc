// Assembles the parts that tokenizer.json describes.
// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "io/json.h"
#include "io/json_object.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/detokenizer.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer_config.h"
#include "text/unicode.h"

namespace octavo {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;

}  // namespace

struct Tokenizer::Parts {
  Parts(const JsonObject& object)
      : file(object.file()), model(BpeModel::read(object.required_object("model"))) {
    if (const auto field = object.optional("normalizer")) normalizer = read_normalizer(*field);
    if (const auto field = object.optional("pre_tokenizer")) {
      pre_tokenizer = read_pre_tokenizer(*field);
    }
    if (const auto field = object.optional("decoder")) decoder = Decoder::read(*field);
    if (const auto field = object.optional("post_processor")) affixes = read_post_processor(*field);
    added =
        AddedTokens::read(object.optional_array("added_tokens").value_or(std::vector<JsonField>{}),
                          model.vocabulary(), normalizer.get());
    vocab_size = std::max(model.vocabulary().size(), added.id_limit());
    for (const auto* ids : {&affixes.before, &affixes.behind}) {
      for (const int32_t id : *ids) check_affix(id);
    }
  }

  void check_affix(int32_t id) const {
    if (added.find(id) != nullptr || model.vocabulary().token(id) != nullptr) return;
    throw bad_file(file, "post_processor", fmt::format("expected ids of tokens, got {}", id));
  }

  void encode_text(const Segment& segment, bool starts_text, BpeModel::Scratch& scratch,
                   std::vector<int32_t>& ids) const {
    std::vector<Word> words{{std::string(segment.text), starts_text}};
    if (pre_tokenizer != nullptr) pre_tokenizer->apply(words);
    for (const Word& word : words) model.encode(word.text, scratch, ids);
  }

  std::string file;
  BpeModel model;
  std::unique_ptr<const Normalizer> normalizer;       // may be null
  std::unique_ptr<const PreTokenizer> pre_tokenizer;  // may be null
  AddedTokens added;
  SpecialAffixes affixes;
  Decoder decoder = Decoder::joined_by_spaces();
  int64_t vocab_size = 0;
};

Tokenizer Tokenizer::from_json(const nlohmann::json& tokenizer_json, std::string_view file) {
  const JsonObject object(tokenizer_json, std::string(file));
  if (const auto version = object.optional("version"); version && version->as_string() != "1.0") {
    throw version->not_supported("1.0");
  }
  return Tokenizer(std::make_shared<Parts>(object));
}

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.json";
  if (!std::filesystem::exists(path)) {
    for (const char* other : {"tokenizer.model", "vocab.json"}) {
      if (!std::filesystem::exists(model_dir / other)) continue;
      throw unsupported(
          (model_dir / other).string(), "",
          "this tokenizer format is not supported; save the tokenizer as tokenizer.json, as "
          "transformers' AutoTokenizer.from_pretrained(…).save_pretrained(…) does");
    }
  }
  Tokenizer tokenizer = from_json(read_json_file(path, kTokenizerJsonLimits), path.string());
  const std::filesystem::path config = model_dir / "tokenizer_config.json";
  if (std::filesystem::exists(config)) {
    const nlohmann::json document = read_json_file(config);
    tokenizer.info_ = read_tokenizer_config(JsonObject(document, config.string()), tokenizer);
  }
  return tokenizer;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  return encode_with(text, add_special_tokens, /*allow_special=*/true);
}

std::vector<int32_t> Tokenizer::encode_plain(std::string_view text, bool add_special_tokens) const {
  return encode_with(text, add_special_tokens, /*allow_special=*/false);
}

std::vector<int32_t> Tokenizer::encode_with(std::string_view text, bool add_special_tokens,
                                            bool allow_special) const {
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("text: expected at most {} bytes, got {}", kMaxTextBytes, text.size()));
  }
  const std::string repaired = repair_utf8(text);
  const auto& [before, behind] = parts_->affixes;
  BpeModel::Scratch scratch;
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = before;
  for (const Segment& raw : parts_->added.split_raw(repaired, allow_special)) {
    if (raw.id) {
      ids.push_back(*raw.id);
      continue;
    }
    std::string normal(raw.text);
    if (parts_->normalizer != nullptr) parts_->normalizer->apply(normal);
    const bool first = raw.text.data() == repaired.data();
    for (const Segment& segment : parts_->added.split_normalized(normal, allow_special)) {
      if (segment.id) {
        ids.push_back(*segment.id);
      } else {
        const bool starts_text = first && segment.text.data() == normal.data();
        parts_->encode_text(segment, starts_text, scratch, ids);
      }
    }
  }
  if (add_special_tokens) ids.insert(ids.end(), behind.begin(), behind.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  Detokenizer detokenizer(*this, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) text += detokenizer.push(id);
  return text + detokenizer.finish();
}

int64_t Tokenizer::vocab_size() const { return parts_->vocab_size; }

void Tokenizer::check_fits(int64_t embedding_rows) const {
  if (vocab_size() <= embedding_rows) return;
  throw bad_file(parts_->file, "",
                 fmt::format("expected ids below {}, the rows of the model's embedding, got {}",
                             embedding_rows, vocab_size() - 1));
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* added = parts_->added.find(token)) return added->id;
  return parts_->model.vocabulary().find(token);
}

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const {
  if (const AddedToken* added = parts_->added.find(id)) return added->content;
  const std::string* token = parts_->model.vocabulary().token(id);
  return token == nullptr ? std::nullopt : std::optional(*token);
}

bool Tokenizer::is_special(int32_t id) const {
  const AddedToken* added = parts_->added.find(id);
  return added != nullptr && added->special;
}

std::optional<int32_t> Tokenizer::id_of(const std::optional<std::string>& token) const {
  return token ? token_to_id(*token) : std::nullopt;
}
std::optional<int32_t> Tokenizer::bos_id() const { return id_of(info_.bos_token); }
std::optional<int32_t> Tokenizer::eos_id() const { return id_of(info_.eos_token); }
std::optional<int32_t> Tokenizer::pad_id() const { return id_of(info_.pad_token); }

std::optional<std::string_view> Tokenizer::decoded_token(int32_t id,
                                                         bool skip_special_tokens) const {
  if (id < 0 || id >= vocab_size()) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("token id: expected 0 to {}, got {}", vocab_size() - 1, id));
  }
  const std::string* text = parts_->added.decoded_text(id);
  if (text == nullptr) text = parts_->model.vocabulary().token(id);
  if (text == nullptr) return std::nullopt;
  if (skip_special_tokens && parts_->added.is_special_text(*text)) return std::nullopt;
  return *text;
}

const Decoder& Tokenizer::decoder() const { return parts_->decoder; }

}  // namespace octavo
