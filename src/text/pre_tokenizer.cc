// One small class a pre-tokenizer, and their table.
// SPDX-License-Identifier: Apache-2.0
#include "text/pre_tokenizer.h"

#include <optional>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/growth.h"
#include "text/metaspace.h"
#include "text/pattern.h"
#include "text/regex.h"
#include "text/split.h"
#include "text/unicode.h"

namespace octavo {
namespace {

using PreTokenizerPointer = std::unique_ptr<const PreTokenizer>;

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Replaces each word by its pieces.
template <typename Ranges>
void split_words(std::vector<Word>& words, const Ranges& ranges_of) {
  std::vector<Word> out;
  for (Word& word : words) {
    for (const TextRange& range : ranges_of(word.text)) {
      if (range.begin == range.end) continue;
      out.push_back({word.text.substr(range.begin, range.end - range.begin),
                     word.starts_text && range.begin == 0});
    }
  }
  words = std::move(out);
}

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Regex pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(std::vector<Word>& words) const override {
    split_words(words, [&](const std::string& text) {
      auto ranges = pattern_.split(text);
      for (TextRange& range : ranges) range.is_match ^= invert_;
      return cut(std::move(ranges), behavior_);
    });
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class ByteLevelPreTokenizer : public PreTokenizer {
 public:
  ByteLevelPreTokenizer(bool add_prefix_space, std::optional<Regex> pattern)
      : add_prefix_space_(add_prefix_space), pattern_(std::move(pattern)) {}
  void apply(std::vector<Word>& words) const override {
    for (Word& word : words) {
      if (add_prefix_space_ && word.text[0] != ' ') word.text.insert(0, 1, ' ');
    }
    if (pattern_)
      split_words(words, [&](const std::string& text) { return pattern_->split(text); });
    for (Word& word : words) word.text = bytes_to_alphabet(word.text);
  }

 private:
  bool add_prefix_space_;
  std::optional<Regex> pattern_;
};

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  explicit MetaspacePreTokenizer(Metaspace options)
      : options_(std::move(options)),
        space_(Regex::literal(" ")),
        mark_(Regex::literal(options_.replacement)) {}
  void apply(std::vector<Word>& words) const override {
    for (Word& word : words) {
      word.text = replace_matches(space_, word.text, options_.replacement);
      const bool wanted = options_.prepend_scheme == PrependScheme::kAlways ||
                          (options_.prepend_scheme == PrependScheme::kFirst && word.starts_text);
      if (wanted && !word.text.starts_with(options_.replacement)) {
        word.text.insert(0, options_.replacement);
      }
    }
    if (!options_.split) return;
    split_words(words, [&](const std::string& text) {
      return cut(mark_.split(text), SplitBehavior::kMergedWithNext);
    });
  }

 private:
  Metaspace options_;
  Regex space_, mark_;
};

std::vector<TextRange> numeric_ranges(std::string_view text) {
  std::vector<TextRange> ranges;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_code_point(text, at);
    const bool numeric = is_numeric(c.value);
    if (!numeric && !ranges.empty() && !ranges.back().is_match) {
      ranges.back().end = at + c.bytes;
    } else {
      ranges.push_back({at, at + c.bytes, numeric});
    }
    at += c.bytes;
  }
  return ranges;
}

class DigitsPreTokenizer : public PreTokenizer {
 public:
  explicit DigitsPreTokenizer(SplitBehavior behavior) : behavior_(behavior) {}
  void apply(std::vector<Word>& words) const override {
    split_words(words,
                [&](const std::string& text) { return cut(numeric_ranges(text), behavior_); });
  }

 private:
  SplitBehavior behavior_;
};

size_t total_bytes(const std::vector<Word>& words) {
  size_t bytes = 0;
  for (const Word& word : words) bytes += word.text.size();
  return bytes;
}

class PreTokenizerSequence : public PreTokenizer {
 public:
  PreTokenizerSequence(std::vector<PreTokenizerPointer> steps, GrowthGuard guard)
      : steps_(std::move(steps)), guard_(std::move(guard)) {}
  void apply(std::vector<Word>& words) const override {
    const size_t before = total_bytes(words);
    for (const auto& step : steps_) {
      step->apply(words);
      guard_.check(before, total_bytes(words));
    }
  }

 private:
  std::vector<PreTokenizerPointer> steps_;
  GrowthGuard guard_;
};

SplitBehavior read_behavior(const JsonField& field) {
  const std::string& name = field.as_string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw field.not_supported("Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

PreTokenizerPointer read_split(const JsonObject& object) {
  return std::make_unique<SplitPreTokenizer>(read_pattern(object.required("pattern")),
                                             read_behavior(object.required("behavior")),
                                             object.required_bool("invert"));
}

PreTokenizerPointer read_byte_level(const JsonObject& object) {
  std::optional<Regex> pattern;
  if (object.optional_bool("use_regex").value_or(true)) {
    pattern = Regex::compile(kGpt2Pattern, object.file(), object.path());
  }
  return std::make_unique<ByteLevelPreTokenizer>(object.required_bool("add_prefix_space"),
                                                 std::move(pattern));
}

PreTokenizerPointer read_sequence(const JsonObject& object) {
  std::vector<PreTokenizerPointer> steps;
  for (const JsonField& step : object.required_array("pretokenizers")) {
    steps.push_back(read_pre_tokenizer(step));
  }
  return std::make_unique<PreTokenizerSequence>(std::move(steps),
                                                GrowthGuard{object.file(), object.path()});
}

}  // namespace

PreTokenizerPointer read_pre_tokenizer(const JsonField& field) {
  const JsonObject object = field.as_object();
  const std::string type = object.required_string("type");
  if (type == "Sequence") return read_sequence(object);
  if (type == "Split") return read_split(object);
  if (type == "ByteLevel") return read_byte_level(object);
  if (type == "Metaspace") return std::make_unique<MetaspacePreTokenizer>(read_metaspace(object));
  if (type == "Digits") {
    const bool individual = object.required_bool("individual_digits");
    return std::make_unique<DigitsPreTokenizer>(individual ? SplitBehavior::kIsolated
                                                           : SplitBehavior::kContiguous);
  }
  throw object.required("type").not_supported("ByteLevel, Metaspace, Split, Digits, Sequence");
}

}  // namespace octavo
