// Ends a text at a stop string, however the text is cut into pieces.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace octavo {

struct StopMatch {
  size_t index;        // which stop string
  int64_t begin_byte;  // where it begins in the whole text
};

// The text ends at the stop string that is complete first; of several that end at the same byte, at
// the longest. A tail that could still become a stop string is held back.
class StopMatcher {
 public:
  // Error(kUsage) for a stop string that is empty or not UTF-8.
  explicit StopMatcher(std::vector<std::string> stops, bool include_stop = false);

  // Takes the next piece of valid UTF-8, returns what is safe to emit. Behind a match: nothing.
  std::string push(std::string_view piece);
  // The end of the text: what was held back, as it has not become a stop string.
  std::string finish();

  const std::optional<StopMatch>& match() const { return match_; }

 private:
  struct Stop {
    std::string text;
    std::vector<uint32_t> fallback;  // [length]: longest proper border of each prefix
    uint32_t matched = 0;            // bytes of `text` that the input ends with
  };
  static void advance(Stop& stop, char byte);
  // The stop string that is complete now.
  std::optional<size_t> complete() const;

  std::vector<Stop> stops_;
  bool include_stop_;
  std::string held_;
  int64_t total_bytes_ = 0;
  std::optional<StopMatch> match_;
};

}  // namespace octavo
