// PCRE2 behind an interface of ranges.
// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <fmt/format.h>
#include <pcre2.h>
#include <time.h>

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "text/newer_unicode.h"
#include "text/regex_syntax.h"
#include "text/unicode.h"

namespace octavo {
namespace {

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

constexpr uint32_t kMaxPatternBytes = 16384;
constexpr uint32_t kHeapLimitKib = 65536;
constexpr size_t kJitStackBytes = size_t{16} << 20;
constexpr size_t kWindowBytes = 256;  // start positions tried between two looks at the clock

// Backtracks from one start position; a run of white space may be given back byte by byte.
uint32_t match_limit(size_t text_bytes) {
  return static_cast<uint32_t>(std::min<size_t>(100'000 + 4 * text_bytes, 1u << 31));
}
// Thread time, so that a busy machine refuses nothing. A sound pattern needs about 0.1 s a MB.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
double seconds_allowed(size_t text_bytes) { return 0.5 + 8e-6 * static_cast<double>(text_bytes); }

template <typename T>
T* allocated(T* pointer) {
  if (pointer == nullptr) {
    throw Error(ErrorCategory::kOutOfMemory, "regular expression: out of memory");
  }
  return pointer;
}

std::string pcre2_message(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

Owned<pcre2_code> compile_code(std::string_view pattern, uint32_t options, std::string_view file,
                               std::string_view field) {
  if (pattern.size() > kMaxPatternBytes) {
    throw bad_file(file, field,
                   fmt::format("expected a regular expression of at most {} bytes, got {}",
                               kMaxPatternBytes, pattern.size()));
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  Owned<pcre2_code> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       options | PCRE2_UTF | PCRE2_USE_OFFSET_LIMIT, &error,
                                       &offset, nullptr));
  if (code == nullptr) {
    throw bad_file(file, field,
                   fmt::format("expected a valid regular expression, got '{}' ({} at byte {})",
                               printable(pattern), pcre2_message(error), offset));
  }
  // Where JIT is not allowed the interpreter gives the same matches, more slowly.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> code;  // null for a literal
  std::string literal;
  std::string file, field;
};

namespace {

// One pass over one text.
class Search {
 public:
  Search(const pcre2_code* code, std::string_view text)
      : code_(code),
        text_(text),
        data_(allocated(pcre2_match_data_create(1, nullptr))),
        context_(allocated(pcre2_match_context_create(nullptr))) {
    pcre2_set_match_limit(context_.get(), match_limit(text.size()));
    pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
  }

  // The first match that starts at `from` or later. False in `within_budget` ends the search.
  std::optional<TextRange> next(size_t from) {
    while (within_budget) {
      const size_t last_start = std::min(text_.size(), from + kWindowBytes);
      const int result = match(from, last_start);
      if (result > 0) {
        const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data_.get());
        if (++matches_ % 1024 == 0) check_clock();
        return TextRange{range[0], range[1], /*is_match=*/true};
      }
      within_budget = result == PCRE2_ERROR_NOMATCH;
      if (last_start == text_.size()) return std::nullopt;
      check_clock();
      from = previous_boundary(text_, last_start + 1);
    }
    return std::nullopt;
  }

  bool within_budget = true;

 private:
  int match(size_t from, size_t last_start) {
    pcre2_set_offset_limit(context_.get(), last_start);
    const int result = call(from);
    if (result != PCRE2_ERROR_JIT_STACKLIMIT || stack_ != nullptr) return result;
    stack_.reset(allocated(pcre2_jit_stack_create(65536, kJitStackBytes, nullptr)));
    pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
    return call(from);
  }

  int call(size_t from) {
    const int result = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(),
                                   from, PCRE2_NO_UTF_CHECK, data_.get(), context_.get());
    // A lookahead with \K could report an end before the start; such patterns are not accepted.
    return result == 0 ? 1 : result;
  }

  void check_clock() {
    const double now = thread_seconds();
    if (started_ < 0) started_ = now;
    if (now - started_ > seconds_allowed(text_.size())) within_budget = false;
  }

  const pcre2_code* code_;
  std::string_view text_;
  Owned<pcre2_match_data> data_;
  Owned<pcre2_match_context> context_;
  Owned<pcre2_jit_stack> stack_;
  double started_ = -1;  // before the first look at the clock
  uint64_t matches_ = 0;
};

}  // namespace

Regex Regex::compile(std::string_view pattern, std::string_view file, std::string_view field) {
  auto code = std::make_shared<Code>();
  code->code =
      compile_code(to_pcre2_syntax(pattern, file, field), PCRE2_UCP | PCRE2_MULTILINE, file, field);
  code->file = file;
  code->field = field;
  return Regex(std::move(code));
}

Regex Regex::literal(std::string_view text, std::string_view file, std::string_view field) {
  auto code = std::make_shared<Code>();
  if (text.empty()) code->code = compile_code(text, PCRE2_LITERAL, file, field);
  code->literal = text;
  code->file = file;
  code->field = field;
  return Regex(std::move(code));
}

namespace {

// Most patterns are one character; PCRE2 costs a microsecond a call before it looks at the text.
std::vector<TextRange> split_at_literal(std::string_view text, std::string_view literal) {
  std::vector<TextRange> ranges;
  size_t end = 0;
  for (size_t at; (at = text.find(literal, end)) != std::string_view::npos;
       end = at + literal.size()) {
    if (at > end) ranges.push_back({end, at, /*is_match=*/false});
    ranges.push_back({at, at + literal.size(), /*is_match=*/true});
  }
  if (end < text.size()) ranges.push_back({end, text.size(), /*is_match=*/false});
  return ranges;
}

}  // namespace

std::vector<TextRange> Regex::split(std::string_view text) const {
  std::vector<TextRange> ranges;
  if (text.empty()) return ranges;
  if (code_->code == nullptr) return split_at_literal(text, code_->literal);
  const std::optional<std::string> stand_in = with_stand_ins(text);
  Search search(code_->code.get(), stand_in ? *stand_in : text);
  size_t from = 0, end = 0;
  bool any = false;
  while (from <= text.size()) {
    const auto found = search.next(from);
    if (!found) break;
    // An empty match right behind the last match is passed over, as Oniguruma's iterator does.
    if (found->begin == found->end && any && found->end == end) {
      from = from < text.size() ? from + decode_code_point(text, from).bytes : from + 1;
      continue;
    }
    if (found->begin > end) ranges.push_back({end, found->begin, /*is_match=*/false});
    ranges.push_back(*found);
    any = true;
    from = end = found->end;
  }
  if (!search.within_budget) {
    throw bad_file(
        code_->file, code_->field,
        "expected a regular expression that needs few steps, got one that exceeds its budget");
  }
  if (end < text.size()) ranges.push_back({end, text.size(), /*is_match=*/false});
  return ranges;
}

}  // namespace octavo
