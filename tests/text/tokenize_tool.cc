// A test tool: encodes and decodes texts from stdin, for comparison with another tokenizer.
// SPDX-License-Identifier: Apache-2.0
//
// Input: records of "<mode> <bytes>\n" and that many bytes. Mode e: encode, p: encode_plain, t:
// time of encode and decode in seconds, printed instead. Output, a line a record: {"ids": […],
// "text": decoded, "stream": decoded piece by piece}, "text" with special tokens, "stream" without.
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace {

std::string stream(const octavo::Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  octavo::Detokenizer detokenizer(tokenizer, /*skip_special_tokens=*/true);
  std::string text;
  for (const int32_t id : ids) text += detokenizer.push(id);
  return text + detokenizer.finish();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void print_times(const octavo::Tokenizer& tokenizer, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  const auto ids = tokenizer.encode(text);
  const double encode_s = seconds_since(start);
  tokenizer.decode(ids);
  std::cout << encode_s << ' ' << seconds_since(start) - encode_s << '\n';
}

void run(const octavo::Tokenizer& tokenizer) {
  char mode = 0;
  size_t bytes = 0;
  while (std::cin >> mode >> bytes) {
    std::cin.get();
    std::string text(bytes, '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(bytes));
    if (mode == 't') {
      print_times(tokenizer, text);
      continue;
    }
    const auto ids = mode == 'p' ? tokenizer.encode_plain(text) : tokenizer.encode(text);
    std::cout << nlohmann::json{{"ids", ids},
                                {"text", tokenizer.decode(ids, /*skip_special_tokens=*/false)},
                                {"stream", stream(tokenizer, ids)}}
                     .dump()
              << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    if (argc != 2)
      throw octavo::Error(octavo::ErrorCategory::kUsage, "usage: tokenize_tool MODEL_DIR");
    run(octavo::Tokenizer::load(argv[1]));
    return 0;
  } catch (const octavo::Error& error) {
    std::cerr << error.what() << '\n';
    return octavo::exit_code(error.category());
  }
}
