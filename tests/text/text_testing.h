// What the tests of text/ share: fixtures, JSON fields, and the error that a call raises.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/error.h"
#include "io/json.h"
#include "io/json_object.h"
#include "text/tokenizer.h"

namespace octavo::testing {

inline std::filesystem::path fixture_dir(const std::string& name) {
  return std::filesystem::path(OCTAVO_SOURCE_DIR) / "tests/data/tokenizers" / name;
}

inline nlohmann::json fixture_json(const std::string& name) {
  return read_json_file(fixture_dir(name) / "tokenizer.json");
}

// A document that lives as long as the field that points to it.
struct Document {
  explicit Document(nlohmann::json value) : json(std::move(value)), field(json, "t.json") {}
  Document(const Document&) = delete;
  nlohmann::json json;
  JsonField field;
};

// "ab" merges from "a" and "b"; "c" is a token; bytes are not.
inline nlohmann::json small_model() {
  return {{"type", "BPE"},
          {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"abc", 4}, {" ", 5}}},
          {"merges", {"a b", "ab c"}}};
}

inline Tokenizer make_tokenizer(nlohmann::json model, nlohmann::json more = {}) {
  nlohmann::json document = {{"version", "1.0"}, {"model", std::move(model)}};
  if (more.is_object()) document.update(more);
  return Tokenizer::from_json(document, "t.json");
}

inline std::optional<Error> error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline std::optional<ErrorCategory> category_of(const std::function<void()>& call) {
  const auto error = error_of(call);
  return error ? std::optional(error->category()) : std::nullopt;
}

}  // namespace octavo::testing
