// Reading Metaspace, in its newer and its older spelling.
// SPDX-License-Identifier: Apache-2.0
#include "text/metaspace.h"

#include "text/unicode.h"

namespace octavo {
namespace {

PrependScheme read_prepend_scheme(const JsonObject& object) {
  const bool add_prefix_space = object.optional_bool("add_prefix_space").value_or(true);
  const auto field = object.optional("prepend_scheme");
  if (!field) return add_prefix_space ? PrependScheme::kAlways : PrependScheme::kNever;
  const std::string& name = field->as_string();
  if (name != "never" && !add_prefix_space) {
    throw field->mismatch("\"never\", as add_prefix_space is false");
  }
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  if (name == "always") return PrependScheme::kAlways;
  throw field->not_supported("first, never, always");
}

}  // namespace

Metaspace read_metaspace(const JsonObject& object) {
  const JsonField field = object.required("replacement");
  const std::string& replacement = field.as_string();
  if (replacement.empty() || decode_code_point(replacement, 0).bytes != replacement.size()) {
    throw field.mismatch("one character");
  }
  return {replacement, read_prepend_scheme(object), object.optional_bool("split").value_or(true)};
}

}  // namespace octavo
