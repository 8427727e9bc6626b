// Any bytes as JSON: refused as a bad file, or accepted with one meaning.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/json.h"
#include "io/json_object.h"

namespace {

// Reads every member in every typed way; all that may happen is a value or a typed error.
void read_fields(const octavo::JsonObject& object) {
  const auto attempt = [](auto read) {
    try {
      read();
    } catch (const octavo::Error& error) {
      OCTAVO_CHECK(error.category() == octavo::ErrorCategory::kBadFile);
    }
  };
  for (const std::string& key : object.keys()) {
    attempt([&] { object.required_int(key, octavo::kPositiveInt32); });
    attempt([&] { object.required_float(key, octavo::kPositiveFloat); });
    attempt([&] { object.required_bool(key); });
    attempt([&] { object.required_string(key); });
    attempt([&] { object.required(key).as_ints(); });
    attempt([&] { read_fields(object.required_object(key)); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const nlohmann::json document = octavo::parse_json(text, "fuzz.json");
    // Never more liberal than the library's own parser, and stable under writing and reading again.
    OCTAVO_CHECK(nlohmann::json::accept(text));
    OCTAVO_CHECK(octavo::parse_json(document.dump(), "again.json") == document);
    if (document.is_object()) read_fields(octavo::JsonObject(document, "fuzz.json"));
  } catch (const octavo::Error& error) {
    if (error.category() != octavo::ErrorCategory::kBadFile) __builtin_trap();
    if (std::string_view(error.what()).size() > 1024) __builtin_trap();
  }
  return 0;
}
