// One small class a normalizer, and their table.
// SPDX-License-Identifier: Apache-2.0
#include "text/normalizer.h"

#include <utility>
#include <vector>

#include "text/growth.h"
#include "text/pattern.h"
#include "text/unicode.h"
#include "text/unicode_form.h"

namespace octavo {
namespace {

using NormalizerPointer = std::unique_ptr<const Normalizer>;

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(UnicodeForm form) : form_(form) {}
  void apply(std::string& text) const override { text = to_unicode_form(text, form_); }

 private:
  UnicodeForm form_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  explicit ReplaceNormalizer(Replacement replacement) : replacement_(std::move(replacement)) {}
  void apply(std::string& text) const override { text = replacement_.apply(text); }

 private:
  Replacement replacement_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text) const override {
    size_t begin = 0, end = text.size();
    while (left_ && begin < end) {
      const CodePoint c = decode_code_point(text, begin);
      if (!is_white_space(c.value)) break;
      begin += c.bytes;
    }
    while (right_ && end > begin) {
      const size_t at = previous_boundary(text, end);
      if (!is_white_space(decode_code_point(text, at).value)) break;
      end = at;
    }
    text = text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class NormalizerSequence : public Normalizer {
 public:
  NormalizerSequence(std::vector<NormalizerPointer> steps, GrowthGuard guard)
      : steps_(std::move(steps)), guard_(std::move(guard)) {}
  void apply(std::string& text) const override {
    const size_t before = text.size();
    for (const auto& step : steps_) {
      step->apply(text);
      guard_.check(before, text.size());
    }
  }

 private:
  std::vector<NormalizerPointer> steps_;
  GrowthGuard guard_;
};

NormalizerPointer read_sequence(const JsonObject& object) {
  std::vector<NormalizerPointer> steps;
  for (const JsonField& step : object.required_array("normalizers")) {
    steps.push_back(read_normalizer(step));
  }
  return std::make_unique<NormalizerSequence>(std::move(steps),
                                              GrowthGuard{object.file(), object.path()});
}

}  // namespace

NormalizerPointer read_normalizer(const JsonField& field) {
  const JsonObject object = field.as_object();
  const std::string type = object.required_string("type");
  if (type == "Sequence") return read_sequence(object);
  if (type == "NFC") return std::make_unique<FormNormalizer>(UnicodeForm::kNfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(UnicodeForm::kNfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(UnicodeForm::kNfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(UnicodeForm::kNfkd);
  if (type == "Prepend") {
    return std::make_unique<PrependNormalizer>(object.required_string("prepend"));
  }
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(Replacement::read(object));
  }
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(object.required_bool("strip_left"),
                                             object.required_bool("strip_right"));
  }
  throw object.required("type").not_supported(
      "NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Sequence");
}

}  // namespace octavo
