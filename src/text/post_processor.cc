// Reduces post-processors to what they do to a single sequence.
// SPDX-License-Identifier: Apache-2.0
#include "text/post_processor.h"

#include <string>

#include "text/vocabulary.h"

namespace octavo {
namespace {

std::vector<int32_t> special_ids(const JsonObject& processor, const std::string& name) {
  const JsonObject tokens = processor.required_object("special_tokens");
  std::vector<int32_t> ids;
  for (const int64_t id : tokens.required_object(name).required("ids").as_ints({0, kMaxTokenId})) {
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

SpecialAffixes read_template(const JsonObject& processor) {
  SpecialAffixes affixes;
  bool text_seen = false;
  for (const JsonField& piece : processor.required_array("single")) {
    const JsonObject object = piece.as_object();
    if (const auto special = object.optional_object("SpecialToken")) {
      auto& side = text_seen ? affixes.behind : affixes.before;
      for (const int32_t id : special_ids(processor, special->required_string("id")))
        side.push_back(id);
    } else if (object.required_object("Sequence").required_string("id") == "A" && !text_seen) {
      text_seen = true;
    } else {
      throw piece.mismatch("special tokens and sequence A once");
    }
  }
  if (!text_seen) throw processor.required("single").mismatch("a template with sequence A");
  return affixes;
}

// A later processor puts its ids around those of the earlier ones.
SpecialAffixes read_sequence(const JsonObject& object) {
  SpecialAffixes all;
  for (const JsonField& step : object.required_array("processors")) {
    const SpecialAffixes outer = read_post_processor(step);
    all.before.insert(all.before.begin(), outer.before.begin(), outer.before.end());
    all.behind.insert(all.behind.end(), outer.behind.begin(), outer.behind.end());
  }
  return all;
}

}  // namespace

SpecialAffixes read_post_processor(const JsonField& field) {
  const JsonObject object = field.as_object();
  const std::string type = object.required_string("type");
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return read_template(object);
  if (type == "Sequence") return read_sequence(object);
  throw object.required("type").not_supported("ByteLevel, TemplateProcessing, Sequence");
}

}  // namespace octavo
