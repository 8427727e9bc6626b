// Strict JSON reading: the one door through which JSON from outside enters Octavo.
// SPDX-License-Identifier: Apache-2.0
//
// Goal: what is accepted has exactly one meaning. Duplicate keys, NaN, numbers that overflow,
// comments, trailing commas, invalid UTF-8, NUL bytes and text after the document are refused with
// line and column.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace octavo {

struct JsonLimits {
  uint64_t bytes = uint64_t{16} << 20;
  int depth = 64;
  uint64_t values = 2'000'000;  // bounds the memory of a document: about 80 bytes a value
  bool allow_bom = true;
};

// tokenizer.json holds a vocabulary and its merges.
inline constexpr JsonLimits kTokenizerJsonLimits{.bytes = uint64_t{64} << 20, .values = 8'000'000};

// What a document consists of, in order of appearance; `parse_json_events` calls it. Handlers keep
// no recursion.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void negative_integer(int64_t value) = 0;  // also "-0"
  virtual void unsigned_integer(uint64_t value) = 0;
  virtual void number(double value) = 0;  // has a fraction, an exponent, or does not fit in 64 bits
  virtual void string(std::string& value) = 0;
  virtual void start_object() = 0;
  virtual void key(std::string& name) = 0;
  virtual void end_object() = 0;
  virtual void start_array() = 0;
  virtual void end_array() = 0;

  void attach(std::string_view text, std::string_view file, const uint64_t* consumed) {
    text_ = text, file_ = file, consumed_ = consumed;
  }

 protected:
  // Error(kBadFile) at the current position.
  [[noreturn]] void fail(std::string_view reason) const;
  uint64_t position() const { return *consumed_; }  // bytes read so far

 private:
  std::string_view text_, file_;
  const uint64_t* consumed_ = nullptr;
};

// Duplicate keys are the handler's business here; everything else is checked.
void parse_json_events(std::string_view text, std::string_view file_name, const JsonLimits& limits,
                       JsonEvents& events);

// Error(kBadFile) "<file>: <line>:<column>: <reason> (byte <n>)"; `position` counts bytes from 1.
[[noreturn]] void fail_json_at(std::string_view text, std::string_view file, uint64_t position,
                               std::string_view reason);

nlohmann::json parse_json(std::string_view text, std::string_view file_name,
                          const JsonLimits& limits = {});
nlohmann::json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

}  // namespace octavo
