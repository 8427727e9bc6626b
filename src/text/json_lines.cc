// Reading of JSON lines and the report of broken ones.
// SPDX-License-Identifier: Apache-2.0
#include "text/json_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/json.h"

namespace octavo {
namespace {

// More are not worth reading for: the file is of another kind.
constexpr size_t kMaxReported = 20;

[[noreturn]] void fail(const std::vector<BadLine>& bad, const JsonLinesOptions& options) {
  std::string message = bad.front().reason;
  if (bad.size() > 1) {
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < bad.size() && i < kMaxReported; ++i) numbers.push_back(bad[i].number);
    message += fmt::format("; {}{} malformed lines: {}{}", bad.size() > kMaxReported ? "over " : "",
                           std::min(bad.size(), kMaxReported), fmt::join(numbers, ", "),
                           bad.size() > kMaxReported ? ", …" : "");
  }
  if (!options.skip_hint.empty()) {
    message += fmt::format(" ({} {} would leave them out)", options.skip_hint,
                           bad.size() > kMaxReported ? "N" : fmt::to_string(bad.size()));
  }
  throw Error(ErrorCategory::kBadFile, message);
}

}  // namespace

std::vector<BadLine> read_json_lines(LineReader& lines, const JsonLinesOptions& options,
                                     const std::function<bool(const JsonObject&)>& handle) {
  std::vector<BadLine> bad;
  const auto allowed = static_cast<size_t>(std::max<int64_t>(0, options.skip_bad_lines));
  const JsonLimits limits{
      .bytes = LineReader::kMaxLineBytes, .values = options.max_values, .allow_bom = false};
  bool more = true;
  while (more) {
    const auto line = lines.next();
    if (!line) break;
    if (line->text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string name = fmt::format("{}: line {}", lines.path(), line->number);
    try {
      const nlohmann::json document = parse_json(line->text, name, limits);
      more = handle(JsonObject(document, name));
    } catch (const Error& error) {
      if (error.category() != ErrorCategory::kBadFile) throw;
      bad.push_back({.number = line->number, .reason = error.what()});
      if (bad.size() > allowed + kMaxReported) break;
    }
  }
  if (bad.size() > allowed) fail(bad, options);
  return bad;
}

}  // namespace octavo
