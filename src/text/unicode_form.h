// Unicode normalization forms, in linear time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace octavo {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

std::string to_unicode_form(std::string_view valid_utf8, UnicodeForm form);

}  // namespace octavo
