// The steps that decoders are made of.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "text/decoder.h"
#include "text/metaspace.h"
#include "text/pattern.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace octavo {

// Byte-level characters back to bytes, and those to UTF-8; bad sequences become U+FFFD.
class ByteLevelStep : public DecodeStep {
 public:
  void push(std::string_view token, std::vector<std::string>& out) override;
  void finish(std::vector<std::string>& out) override;

 private:
  Utf8Repair repair_;
};

// Runs of <0xNN> tokens to text. A run that is not valid UTF-8 becomes one U+FFFD a byte, so a run
// is held back until it ends.
class ByteFallbackStep : public DecodeStep {
 public:
  void push(std::string_view token, std::vector<std::string>& out) override;
  void finish(std::vector<std::string>& out) override;

 private:
  std::string run_;
};

// From here on the text is one token; as a stream nothing changes.
class FuseStep : public DecodeStep {
 public:
  void push(std::string_view token, std::vector<std::string>& out) override {
    out.emplace_back(token);
  }
};

class ReplaceStep : public DecodeStep {
 public:
  explicit ReplaceStep(Replacement replacement) : replacement_(std::move(replacement)) {}
  void push(std::string_view token, std::vector<std::string>& out) override;

 private:
  Replacement replacement_;
};

struct StripOptions {
  std::string content;  // one character
  int64_t start = 0;    // how many to take away at most from the beginning of a token
  int64_t stop = 0;     // and from its end
  bool fused = false;   // the whole text is one token
};

class StripStep : public DecodeStep {
 public:
  explicit StripStep(StripOptions options) : options_(std::move(options)) { restart(); }
  void push(std::string_view token, std::vector<std::string>& out) override;
  void finish(std::vector<std::string>& out) override;

 private:
  void restart();
  void take(std::string_view character, std::string& out);

  StripOptions options_;
  int64_t start_left_ = 0;  // characters that may still be stripped from the beginning
  int64_t held_ = 0;        // characters at the end that are stripped if nothing follows
};

class MetaspaceStep : public DecodeStep {
 public:
  explicit MetaspaceStep(const Metaspace& options)
      : mark_(Regex::literal(options.replacement)),
        strip_first_(options.prepend_scheme != PrependScheme::kNever) {}
  void push(std::string_view token, std::vector<std::string>& out) override;

 private:
  Regex mark_;
  bool strip_first_;
  bool first_ = true;
};

class JoinStep : public DecodeStep {
 public:
  void push(std::string_view token, std::vector<std::string>& out) override;

 private:
  bool first_ = true;
};

}  // namespace octavo
