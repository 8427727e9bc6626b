// What each decoder step does to a token.
// SPDX-License-Identifier: Apache-2.0
#include "text/decode_steps.h"

#include <optional>

#include "text/byte_alphabet.h"

namespace octavo {
namespace {

// The bytes that a token spells; a token with a character outside the alphabet stands for itself.
std::string bytes_of(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const CodePoint c = decode_code_point(token, at);
    const auto byte = alphabet_to_byte(c.value);
    if (!byte) return std::string(token);
    bytes += static_cast<char>(*byte);
    at += c.bytes;
  }
  return bytes;
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return std::nullopt;
}

std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const auto high = hex_digit(token[3]), low = hex_digit(token[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<char>(*high << 4 | *low);
}

}  // namespace

void ByteLevelStep::push(std::string_view token, std::vector<std::string>& out) {
  repair_.push(bytes_of(token), out.emplace_back());
}

void ByteLevelStep::finish(std::vector<std::string>& out) { repair_.finish(out.emplace_back()); }

void ByteFallbackStep::push(std::string_view token, std::vector<std::string>& out) {
  if (const auto byte = fallback_byte(token)) {
    run_ += *byte;
    return;
  }
  finish(out);
  out.emplace_back(token);
}

void ByteFallbackStep::finish(std::vector<std::string>& out) {
  if (run_.empty()) return;
  if (is_valid_utf8(run_)) {
    out.push_back(run_);
  } else {
    for (size_t i = 0; i < run_.size(); ++i) out.emplace_back(kReplacementCharacter);
  }
  run_.clear();
}

void ReplaceStep::push(std::string_view token, std::vector<std::string>& out) {
  out.push_back(replacement_.apply(token));
}

void StripStep::restart() {
  start_left_ = options_.start;
  held_ = 0;
}

void StripStep::take(std::string_view character, std::string& out) {
  if (character == options_.content) {
    if (start_left_ > 0) {
      --start_left_;
    } else if (held_ < options_.stop) {
      ++held_;
    } else {
      out += character;  // the earliest of the held ones, which are all equal
    }
    return;
  }
  for (; held_ > 0; --held_) out += options_.content;
  out += character;
  start_left_ = 0;
}

void StripStep::push(std::string_view token, std::vector<std::string>& out) {
  std::string& text = out.emplace_back();
  for (size_t at = 0; at < token.size();) {
    const size_t bytes = decode_code_point(token, at).bytes;
    take(token.substr(at, bytes), text);
    at += bytes;
  }
  if (!options_.fused) restart();
}

void StripStep::finish(std::vector<std::string>&) { restart(); }

void MetaspaceStep::push(std::string_view token, std::vector<std::string>& out) {
  out.push_back(replace_matches(mark_, token, first_ && strip_first_ ? "" : " "));
  first_ = false;
}

void JoinStep::push(std::string_view token, std::vector<std::string>& out) {
  std::string& text = out.emplace_back(first_ ? "" : " ");
  text += token;
  first_ = false;
}

}  // namespace octavo
