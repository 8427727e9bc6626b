// The pattern field of Split and Replace: {"String": text} or {"Regex": expression}.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "io/json_object.h"
#include "text/growth.h"
#include "text/regex.h"

namespace octavo {

Regex read_pattern(const JsonField& field);
std::string replace_matches(const Regex& pattern, std::string_view text, std::string_view content);

// The Replace of normalizers and decoders.
class Replacement {
 public:
  static Replacement read(const JsonObject& object);
  std::string apply(std::string_view text) const;

 private:
  Replacement(Regex pattern, std::string content, GrowthGuard guard)
      : pattern_(std::move(pattern)), content_(std::move(content)), guard_(std::move(guard)) {}

  Regex pattern_;
  std::string content_;
  GrowthGuard guard_;
};

}  // namespace octavo
