// Recognises what a failed download leaves in the place of a model file.
// SPDX-License-Identifier: Apache-2.0
#include "io/download.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace octavo {
namespace {
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}
}  // namespace

std::optional<std::string> download_problem(std::string_view start) {
  if (start.starts_with("version https://git-lfs")) {
    return "looks like a Git LFS pointer, not the file itself; the download is incomplete (git lfs "
           "pull)";
  }
  constexpr std::array<std::string_view, 3> kPages = {"<!doctype html", "<html", "<?xml"};
  for (const std::string_view page : kPages) {
    if (starts_with_ignoring_case(start, page)) {
      return "looks like an HTML page, not the file itself; the download failed";
    }
  }
  return std::nullopt;
}

}  // namespace octavo
