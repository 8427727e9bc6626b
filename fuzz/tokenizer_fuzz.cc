// Any bytes as tokenizer.json: an Error, or a tokenizer that encodes and decodes without harm.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "io/json.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace {

constexpr std::string_view kText =
    " The engine's 1234 tokens,\n\n  caf\u00E9 e\u0301 \u6F22\u5B57 \U0001F600 "
    "<s>aaaaaaab<|eot_id|> \xFF\t";

void use(const octavo::Tokenizer& tokenizer) {
  std::vector<int32_t> ids = tokenizer.encode(kText);
  for (const int32_t id : ids) OCTAVO_CHECK(id >= 0 && id < tokenizer.vocab_size());
  for (int32_t id = 0; id < 300 && id < tokenizer.vocab_size(); ++id) ids.push_back(id);
  OCTAVO_CHECK(octavo::is_valid_utf8(tokenizer.decode(ids, /*skip_special_tokens=*/false)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    use(octavo::Tokenizer::from_json(octavo::parse_json(text, "tokenizer.json"), "tokenizer.json"));
  } catch (const octavo::Error& error) {
    if (error.category() == octavo::ErrorCategory::kInternal) __builtin_trap();
  }
  return 0;
}
