// Patterns of module names: wildcards, and regular expressions by PCRE2 within a budget.
// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "io/quantization_config.h"

namespace octavo {
namespace {

constexpr size_t kMaxRegexBytes = 1024;
constexpr uint32_t kMatchLimit = 100000;  // backtracking steps: no pattern can stall the program

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* pointer) const {
    free(pointer);
  }
};

bool regex_matches(std::string_view pattern, std::string_view text) {
  const auto bad = [&](std::string_view what) {
    return bad_file("", "re:" + printable(pattern), std::string(what));
  };
  if (pattern.size() > kMaxRegexBytes) throw bad("expected at most 1024 bytes");
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, Free<pcre2_code_free>> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_ANCHORED,
                    &error, &offset, nullptr));
  if (code == nullptr) throw bad(fmt::format("not a regular expression, at byte {}", offset));
  const std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>> data(
      pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>> context(
      pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(context.get(), kMatchLimit);
  const int result = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                 0, 0, data.get(), context.get());
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  throw bad("backtracks too far");
}

bool wildcards_match(std::string_view pattern, std::string_view module) {
  // Greedy matching with one remembered star: linear in practice, quadratic at worst.
  size_t p = 0, m = 0, star = std::string_view::npos, resume = 0;
  while (m < module.size()) {
    if (p < pattern.size() &&
        (pattern[p] == '?' || (pattern[p] == module[m] && pattern[p] != '*'))) {
      ++p, ++m;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = m;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      m = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool module_matches(std::string_view pattern, std::string_view module) {
  if (pattern.starts_with("re:")) return regex_matches(pattern.substr(3), module);
  if (pattern.find_first_of("*?") != std::string_view::npos)
    return wildcards_match(pattern, module);
  return module == pattern || (module.size() > pattern.size() && module.starts_with(pattern) &&
                               module[pattern.size()] == '.');
}

bool is_excluded(const std::vector<std::string>& patterns, std::string_view module) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return module_matches(pattern, module); });
}

}  // namespace octavo
