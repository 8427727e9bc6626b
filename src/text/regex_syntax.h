// Regular expressions as tokenizer.json writes them (Oniguruma, Ruby syntax), for PCRE2.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace octavo {

// The pattern with the same meaning under PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE. What the two
// dialects read differently is rewritten (\s, \w, \v, \p{Script}, {,n}) or refused by name with
// Error(kUnsupported); a pattern cut short is Error(kBadFile). `file` and `field` are for messages.
std::string to_pcre2_syntax(std::string_view pattern, std::string_view file,
                            std::string_view field);

}  // namespace octavo
