// The one error type and its mapping to exit codes.
// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

namespace octavo {

int exit_code(ErrorCategory category) {
  switch (category) {
    case ErrorCategory::kGateFailed:
      return 1;
    case ErrorCategory::kUsage:
      return 2;
    case ErrorCategory::kBadFile:
      return 3;
    case ErrorCategory::kUnsupported:
      return 4;
    case ErrorCategory::kEnvironment:
      return 5;
    case ErrorCategory::kOutOfMemory:
      return 6;
    case ErrorCategory::kDevice:
      return 7;
    case ErrorCategory::kInternal:
      return 70;
  }
  return 70;
}

std::string_view to_string(ErrorCategory category) {
  switch (category) {
    case ErrorCategory::kGateFailed:
      return "gate failed";
    case ErrorCategory::kUsage:
      return "usage";
    case ErrorCategory::kBadFile:
      return "bad file";
    case ErrorCategory::kUnsupported:
      return "unsupported";
    case ErrorCategory::kEnvironment:
      return "environment";
    case ErrorCategory::kOutOfMemory:
      return "out of memory";
    case ErrorCategory::kDevice:
      return "device";
    case ErrorCategory::kInternal:
      return "internal";
  }
  return "internal";
}

namespace {

// Length of the valid UTF-8 sequence at `at`, or 0.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const size_t length = lead < 0x80                   ? 1
                        : lead >= 0xC2 && lead < 0xE0 ? 2
                        : lead >= 0xE0 && lead < 0xF0 ? 3
                        : lead >= 0xF0 && lead < 0xF5 ? 4
                                                      : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && byte(at + 1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(at + 1) > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && byte(at + 1) < 0x90) return 0;
  if (lead == 0xF4 && byte(at + 1) > 0x8F) return 0;
  return length;
}

// Bidirectional controls and line separators, which rearrange a terminal line.
bool rearranges_text(std::string_view sequence) {
  return sequence >= "\u2028" && sequence <= "\u202E" ? true
         : sequence >= "\u2066" && sequence <= "\u2069"
             ? true
             : sequence == "\u200E" || sequence == "\u200F" || sequence == "\u061C";
}

}  // namespace

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= max_bytes) return out + "…";
    const size_t length = utf8_length(text, i);
    const std::string_view sequence = text.substr(i, length == 0 ? 1 : length);
    const auto lead = static_cast<unsigned char>(sequence[0]);
    const bool c1_control =
        length == 2 && lead == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
    if (length == 0 || lead < 0x20 || lead == 0x7F || c1_control || rearranges_text(sequence)) {
      for (const char c : sequence) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += sequence;
    }
    i += sequence.size();
  }
  return out;
}

namespace {
std::string compose(std::string_view file, std::string_view field, std::string_view reason) {
  std::string message = printable(file, 512);
  if (!field.empty()) message += fmt::format("{}{}", message.empty() ? "" : ": ", printable(field));
  return fmt::format("{}{}{}", message, message.empty() ? "" : ": ", reason);
}
}  // namespace

Error::Error(ErrorCategory category, std::string_view file, std::string_view field,
             std::string_view reason)
    : std::runtime_error(compose(file, field, reason)),
      category_(category),
      file_(file),
      field_(field) {}

Error bad_file(std::string_view file, std::string_view field, std::string_view reason) {
  return Error(ErrorCategory::kBadFile, file, field, reason);
}

Error unsupported(std::string_view file, std::string_view field, std::string_view reason) {
  return Error(ErrorCategory::kUnsupported, file, field, reason);
}

void check_failed(const char* condition, const char* file, int line) {
  throw Error(ErrorCategory::kInternal,
              fmt::format("internal error: {} failed at {}:{}", condition, file, line));
}

}  // namespace octavo
