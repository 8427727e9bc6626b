// Any bytes as text for every style of tokenizer: ids in range, streams equal to the whole.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace {

using octavo::Tokenizer;

std::vector<Tokenizer> load_all() {
  std::vector<Tokenizer> all;
  for (const char* name : {"llama3", "gpt2", "qwen2", "llama2", "mistral", "metaspace"}) {
    all.push_back(Tokenizer::load(std::string(OCTAVO_SOURCE_DIR "/tests/data/tokenizers/") + name));
  }
  return all;
}

void check(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<int32_t> ids = tokenizer.encode(text);
  octavo::Detokenizer detokenizer(tokenizer, /*skip_special_tokens=*/false);
  std::string streamed;
  for (const int32_t id : ids) {
    OCTAVO_CHECK(id >= 0 && id < tokenizer.vocab_size());
    const std::string piece = detokenizer.push(id);
    OCTAVO_CHECK(octavo::is_valid_utf8(piece));
    streamed += piece;
  }
  streamed += detokenizer.finish();
  OCTAVO_CHECK(streamed == tokenizer.decode(ids, /*skip_special_tokens=*/false));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Tokenizer> tokenizers = load_all();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer& tokenizer : tokenizers) check(tokenizer, text);
  // Byte-level BPE without normalizer or flags keeps every text.
  for (const size_t i : {0, 1}) {
    const auto ids = tokenizers[i].encode_plain(text, /*add_special_tokens=*/false);
    OCTAVO_CHECK(tokenizers[i].decode(ids) == octavo::repair_utf8(text));
  }
  return 0;
}
