// Rewrites Oniguruma patterns for PCRE2, one construct at a time; an unknown construct is refused.
// SPDX-License-Identifier: Apache-2.0
#include "text/regex_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/error.h"
#include "text/unicode.h"

namespace octavo {
namespace {

// Members of a class, written out: PCRE2's own \s has U+180E, its \w lacks marks.
constexpr std::string_view kSpaceMembers =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}";
constexpr std::string_view kWordMembers = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
// Outside a class Oniguruma counts six superscripts and fractions of Latin-1 as words, too.
constexpr std::string_view kWordClass =
    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe";

constexpr std::array<std::string_view, 37> kCategories = {
    "C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",
    "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi",
    "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"};

class Rewriter {
 public:
  Rewriter(std::string_view pattern, std::string_view file, std::string_view field)
      : in_(pattern), file_(file), field_(field) {}

  std::string run() {
    while (at_ < in_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw unsupported(
        file_, field_,
        fmt::format("{} in the regular expression '{}' is not supported", what, printable(in_)));
  }

  char take() {
    if (at_ == in_.size()) {
      throw bad_file(
          file_, field_,
          fmt::format("expected a complete regular expression, got '{}'", printable(in_)));
    }
    return in_[at_++];
  }
  bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void copy(size_t bytes) {
    out_ += in_.substr(at_, bytes);
    at_ += bytes;
  }

  void step() {
    switch (in_[at_]) {
      case '\\':
        return escape(/*in_class=*/false);
      case '[':
        return char_class();
      case '(':
        return group();
      case '{':
        return interval();
      default:
        out_ += in_[at_++];
    }
  }

  void group() {
    for (const std::string_view start :
         {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (next_is(start)) return copy(start.size());
    }
    if (next_is("(?")) refuse(fmt::format("'{}'", printable(in_.substr(at_, 4))));
    if (next_is("(*")) refuse("'(*'");
    out_ += take();
  }

  // {n}, {n,}, {,m}, {n,m}; any other brace is a plain character in both dialects.
  void interval() {
    const size_t close = in_.find('}', at_);
    const std::string_view body =
        close == std::string_view::npos ? "" : in_.substr(at_ + 1, close - at_ - 1);
    const bool counts =
        std::ranges::all_of(body, [](char c) { return c == ',' || (c >= '0' && c <= '9'); });
    if (body.empty() || body == "," || !counts || std::ranges::count(body, ',') > 1) {
      ++at_;
      out_ += "\\{";
      return;
    }
    at_ = close + 1;
    out_ += fmt::format("{{{}{}}}", body[0] == ',' ? "0" : "", body);
    // Ruby reads these as a second quantifier, PCRE2 as possessive or lazy.
    if (next_is("+") || (next_is("?") && body.find(',') == std::string_view::npos)) {
      refuse(fmt::format("'{{{}}}{}'", body, in_[at_]));
    }
  }

  void char_class() {
    out_ += take();
    if (next_is("^")) out_ += take();
    if (next_is("]")) refuse("a class that starts with ']'");
    while (!next_is("]")) {
      if (next_is("[")) refuse("a class inside a class");
      if (next_is("&&")) refuse("an intersection of classes");
      if (next_is("\\")) {
        escape(/*in_class=*/true);
      } else {
        out_ += take();
      }
    }
    out_ += take();
  }

  void escape(bool in_class) {
    take();
    const char c = take();
    const auto members = [&](std::string_view text) {
      out_ += in_class ? std::string(text) : fmt::format("[{}]", text);
    };
    switch (c) {
      case 's':
        return members(kSpaceMembers);
      case 'S':
        out_ += "\\P{White_Space}";
        return;
      case 'w':
        return members(in_class ? kWordMembers : kWordClass);
      case 'd':
        out_ += "\\p{Nd}";
        return;
      case 'D':
        out_ += "\\P{Nd}";
        return;
      case 'v':
        out_ += "\\x0b";
        return;
      case 'p':
      case 'P':
        return property(c);
      case 'x':
        return hexadecimal();
      case 'u':
        out_ += fmt::format("\\x{{{}}}", digits(4));
        return;
      case 't':
      case 'n':
      case 'r':
      case 'f':
      case 'a':
      case 'e':
        out_ += fmt::format("\\{}", c);
        return;
      default:
        break;
    }
    if (!in_class && anchor(c)) return;
    if (std::isalnum(static_cast<unsigned char>(c))) refuse(fmt::format("'\\{}'", c));
    if (static_cast<unsigned char>(c) < 0x80) out_ += '\\';
    out_ += c;
  }

  bool anchor(char c) {
    const std::string word = fmt::format("[{}]", kWordClass);
    switch (c) {
      case 'A':
      case 'z':
      case 'Z':
        out_ += fmt::format("\\{}", c);
        return true;
      case 'W':
        out_ += fmt::format("[^{}]", kWordClass);
        return true;
      case 'b':
        out_ += fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
        return true;
      case 'B':
        out_ += fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word);
        return true;
      default:
        return false;
    }
  }

  std::string digits(size_t count) {
    std::string text;
    while (text.size() < count) {
      const char c = take();
      if (!std::isxdigit(static_cast<unsigned char>(c)))
        refuse("'\\u' or '\\x' without its digits");
      text += c;
    }
    return text;
  }

  void hexadecimal() {
    if (!next_is("{")) {
      out_ += fmt::format("\\x{{{}}}", digits(2));
      return;
    }
    take();
    std::string text;
    for (char c = take(); c != '}'; c = take()) {
      if (!std::isxdigit(static_cast<unsigned char>(c)) || text.size() == 6)
        refuse("this '\\x{…}'");
      text += c;
    }
    out_ += fmt::format("\\x{{{}}}", text);
  }

  // A general category as it stands; any other name as a script. (PCRE2 alone would read a script
  // name as script extensions.)
  void property(char letter) {
    if (take() != '{') refuse("'\\p' without braces");
    const bool negated = next_is("^");
    if (negated) take();
    std::string name;
    for (char c = take(); c != '}'; c = take()) {
      if (!std::isalpha(static_cast<unsigned char>(c)) && c != '_') refuse("this property name");
      name += c;
    }
    const bool category = std::ranges::find(kCategories, name) != kCategories.end();
    const char sign = negated ? static_cast<char>(letter ^ ('p' ^ 'P')) : letter;
    out_ += fmt::format("\\{}{{{}{}}}", sign, category ? "" : "sc:", name);
  }

  std::string_view in_, file_, field_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string to_pcre2_syntax(std::string_view pattern, std::string_view file,
                            std::string_view field) {
  return Rewriter(pattern, file, field).run();
}

}  // namespace octavo
