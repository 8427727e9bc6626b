// Knuth–Morris–Pratt over each stop string, byte by byte.
// SPDX-License-Identifier: Apache-2.0
#include "text/stop_strings.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "text/unicode.h"

namespace octavo {
namespace {

constexpr size_t kMaxStopBytes = 65536;

std::vector<uint32_t> borders(std::string_view text) {
  std::vector<uint32_t> fallback(text.size(), 0);
  uint32_t length = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    while (length > 0 && text[i] != text[length]) length = fallback[length - 1];
    if (text[i] == text[length]) ++length;
    fallback[i] = length;
  }
  return fallback;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : include_stop_(include_stop) {
  for (std::string& text : stops) {
    if (text.empty() || text.size() > kMaxStopBytes || !is_valid_utf8(text)) {
      throw Error(ErrorCategory::kUsage,
                  fmt::format("stop: expected UTF-8 of 1 to {} bytes, got {} bytes \"{}\"",
                              kMaxStopBytes, text.size(), printable(text, 40)));
    }
    auto fallback = borders(text);
    stops_.push_back({std::move(text), std::move(fallback)});
  }
}

void StopMatcher::advance(Stop& stop, char byte) {
  while (stop.matched > 0 && stop.text[stop.matched] != byte) {
    stop.matched = stop.fallback[stop.matched - 1];
  }
  if (stop.text[stop.matched] == byte) ++stop.matched;
}

std::optional<size_t> StopMatcher::complete() const {
  std::optional<size_t> best;
  for (size_t i = 0; i < stops_.size(); ++i) {
    const bool done = stops_[i].matched == stops_[i].text.size();
    if (done && (!best || stops_[i].text.size() > stops_[*best].text.size())) best = i;
  }
  return best;
}

std::string StopMatcher::push(std::string_view piece) {
  if (match_) return "";
  std::string text = std::exchange(held_, "");
  for (const char byte : piece) {
    text += byte;
    ++total_bytes_;
    for (Stop& stop : stops_) advance(stop, byte);
    if (const auto index = complete()) {
      const size_t stop_bytes = stops_[*index].text.size();
      match_ = StopMatch{*index, total_bytes_ - static_cast<int64_t>(stop_bytes)};
      if (!include_stop_) text.resize(text.size() - stop_bytes);
      return text;
    }
  }
  size_t held_bytes = 0;
  for (const Stop& stop : stops_) held_bytes = std::max<size_t>(held_bytes, stop.matched);
  held_ = text.substr(text.size() - held_bytes);
  text.resize(text.size() - held_bytes);
  return text;
}

std::string StopMatcher::finish() { return std::exchange(held_, ""); }

}  // namespace octavo
